"""`make faults`: write what the tests of real faults measured into the table of docs/performance.md.

A row that was not measured in this run keeps its figure.
"""

import re
import sys
from collections.abc import Mapping

from benchmarks.page import PAGE, write_table
from tests.e2e.noticed import NOTICES, Notice, figures

HEAD = "| what happens | what says that it was noticed | measured, s | at most, s | promised by | test |"
_ROW = re.compile(r"^\|(?:[^|]*\|){2} (?P<figure>[^|]*) \|.*`(?P<test>test_\w+)` \|$", re.MULTILINE)
UNKNOWN = "-"


def main() -> int:
    """Write the table; 1 when a row has no figure yet."""
    page = PAGE.read_text(encoding="utf-8")
    known = written(page) | {test: f"{figure.seconds:g}" for test, figure in figures().items()}
    write_table(HEAD, rows(known))
    missing = [notice.test for notice in NOTICES if known.get(notice.test, UNKNOWN) == UNKNOWN]
    print(
        f"{PAGE}: {len(NOTICES) - len(missing)} figures", *(f"not measured yet: {test}" for test in missing), sep="\n"
    )
    return 1 if missing else 0


def written(page: str) -> dict[str, str]:
    """Return the figures of the page's table, by the name of the test."""
    return {row["test"]: row["figure"] for row in _ROW.finditer(page)}


def rows(known: Mapping[str, str]) -> str:
    """Return the table's rows with these figures."""
    return "\n".join(_row(each, known) for each in NOTICES)


def _row(notice: Notice, known: Mapping[str, str]) -> str:
    bound = UNKNOWN if notice.bound is None else f"{notice.bound:g}"
    cells = (notice.fault, notice.state, known.get(notice.test, UNKNOWN), bound, notice.source or UNKNOWN)
    return f"| {' | '.join(cells)} | `{notice.test}` |"


if __name__ == "__main__":
    sys.exit(main())
