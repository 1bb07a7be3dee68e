"""docs/performance.md has what was measured last, within the bounds, and each row of a fault has a test."""

import ast
from pathlib import Path

from benchmarks import neighbours
from benchmarks.faults import rows, written
from benchmarks.page import PAGE
from tests.e2e.noticed import NOTICES

TESTS = Path(__file__).resolve().parents[1] / "e2e"


def measured() -> list[str]:
    """Return the functions in the tests of real faults that measure, by what they say that they measure."""
    found = []
    for file in sorted(TESTS.glob("test_real_faults*.py")):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "noticing"]
            for name in names:
                assert isinstance(function, ast.FunctionDef)
                assert isinstance(name, ast.Constant)
                assert name.value == function.name
                found.append(function.name)
    return found


def test_each_row_has_a_test_that_measures_it_and_each_such_test_a_row() -> None:
    assert sorted(measured()) == sorted(notice.test for notice in NOTICES)


def test_the_table_has_these_rows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rows(written(page)) in page, "run `python -m benchmarks.faults`"


def test_every_figure_keeps_its_bound() -> None:
    figures = written(PAGE.read_text(encoding="utf-8"))
    late = [each.test for each in NOTICES if each.bound is not None and float(figures[each.test]) > each.bound]
    assert late == []


def test_a_small_tenant_beside_a_flood_keeps_its_bound() -> None:
    _, rows = PAGE.read_text(encoding="utf-8").split(f"{neighbours.HEAD}\n")
    measured = [row.split(" | ") for row in rows.split("\n\n")[0].splitlines()[1:]]
    assert measured
    column = [*neighbours.COLUMNS].index("ratio") + 1
    assert [row[0] for row in measured if float(row[column]) > neighbours.BAR] == []
