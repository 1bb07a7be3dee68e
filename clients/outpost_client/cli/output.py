"""How the commands print: results on standard output, everything else on standard error."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from outpost_client.errors import Detail
from outpost_client.models import Dispatch, Item, LogLine, Page
from outpost_client.results import Findings, Status

STYLES = {
    Status.PENDING: "yellow",
    Status.PROVISIONING: "cyan",
    Status.RUNNING: "blue",
    Status.COMPLETING: "blue",
    Status.SUCCESS: "bold green",
    Status.FAILED: "bold red",
    Status.TIMEOUT: "bold red",
    Status.CANCELLED: "magenta",
}
_SOURCE_STYLES = {"agent": "green", "executor": "cyan", "system": "yellow"}

# C0 and C1 controls, lone surrogates, separators of lines and paragraphs, and the marks that reorder text (Unicode
# Standard Annex 9): a terminal obeys the first, people read the last in another order than programs do.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Return one line without what would control the terminal."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class PlainConsole(Console):
    """A console on which text can only be read, wherever it comes from: it controls nothing and has no markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of something, their text made printable; those of Rich's own controls stay."""
        for segment in super().render(renderable, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else Segment("\n".join(map(printable, lines)), segment.style)


out = PlainConsole()
err = PlainConsole(stderr=True)


def print_json(value: BaseModel | Mapping[str, object]) -> None:
    """Print one line of JSON in ASCII, with a model's fields named as in the API."""
    found = value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
    print(json.dumps(found))


def print_text(text: str) -> None:
    """Print text that is somebody's data: as it is into a file or pipe, printable on a terminal."""
    on_terminal = sys.stdout.isatty()
    sys.stdout.write("\n".join(map(printable, text.split("\n"))) if on_terminal else text)


def show_error(
    message: str, *, code: str | None = None, details: Sequence[Detail] = (), request_id: str | None = None
) -> None:
    """Print an error: what was refused, which fields, and the id that finds it in the service's log."""
    err.print(Text(f"{code}: {message}" if code else message, style="red" if code else ""))
    for detail in details if len(details) > 1 else ():
        err.print(Text(f"  {detail.field}: {detail.message}"))
    if request_id:
        err.print(Text(f"  request {request_id}", style="dim"))


def status_text(status: Status, *, withheld: bool = False) -> Text:
    """Return a status in its colour, and whether results are withheld."""
    return Text(status, style=STYLES[status]).append(" (withheld)" if withheld else "", style="bold yellow")


def log_text(line: LogLine) -> Text:
    """Return a log line as it is shown: local time, source, message."""
    time = line.timestamp.astimezone().strftime("%H:%M:%S")
    style = "red" if line.level == "error" else ""
    return Text.assemble(
        (time, "dim"),
        "  ",
        (f"{line.source:<8}", _SOURCE_STYLES.get(line.source, "")),
        "  ",
        (printable(line.message), style),
    )


def patch_text(patch: str) -> Text:
    """Return a patch in colours."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    lines = [Text(printable(line), style=styles.get(line[:1], "")) for line in patch.rstrip().split("\n")]
    return Text("\n").join(lines)


def print_table(*columns: str, rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a plain table, no cell of which is ever cut: ids are there to be copied."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    total = 0
    for index, name in enumerate(columns):
        widest = max([row[index].cell_len for row in cells] + [len(name)])
        table.add_column(name, no_wrap=True, min_width=widest)
        total += widest + 1
    for row in cells:
        table.add_row(*row)
    if total > out.width:
        table.width = total
    out.print(table)


def print_page(
    page: Page[Item], columns: Sequence[str], row: Callable[[Item], Sequence[str | Text]], *, as_json: bool
) -> None:
    """Print part of a list, one item a row or as JSON, and the option that continues it."""
    if as_json:
        print_json(page)
        return
    print_table(*columns, rows=map(row, page.items))
    if page.has_more:
        err.print(f"There are more: --cursor {page.cursor}")


def dispatch_table(dispatch: Dispatch) -> Table:
    """Return everything worth knowing about one dispatch."""
    place = " @ ".join(part for part in (dispatch.repo, dispatch.branch) if part)
    reason, expected = dispatch.reason, dispatch.expected_start_at
    findings, released = dispatch.findings, dispatch.released
    facts: dict[str, str | Text | None] = {
        "dispatch": dispatch.id,
        "status": status_text(dispatch.status, withheld=dispatch.withheld),
        "agent": " ".join(part for part in (dispatch.agent, dispatch.model_id) if part),
        "repository": place,
        "tags": " ".join(f"{key}:{value}" for key, value in dispatch.tags.items()),
        "created": since(dispatch.created_at),
        "took": duration(dispatch),
        "attempt": str(dispatch.attempt) if dispatch.attempt > 1 else None,
        "in queue": None if dispatch.queue_position is None else f"position {dispatch.queue_position}",
        "expected start": f"{expected.astimezone():%Y-%m-%d %H:%M:%S}" if expected else None,
        "progress": dispatch.progress and printable(dispatch.progress),
        "cost": cost_text(dispatch),
        "exit code": None if dispatch.exit_code is None else str(dispatch.exit_code),
        "reason": f"{reason.code}: {printable(reason.message)}" if reason else None,
        "remedy": reason.remedy if reason and (dispatch.withheld or dispatch.status is not Status.SUCCESS) else None,
        "withheld": withheld_text(dispatch),
        "secrets": findings_text(findings) if findings else None,
        "beside the patch": "\n".join(map(printable, dispatch.collection.lines())) if dispatch.collection else None,
        "released": f"{since(released.at)} by {released.by}: {printable(released.reason)}" if released else None,
    }
    result = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value:
            result.add_row(Text(name, style="dim"), Text(value) if isinstance(value, str) else value)
    return result


def cost_text(dispatch: Dispatch) -> str | None:
    """Return what a dispatch's model calls cost, and what they may cost, or None where there is nothing to say."""
    cost, most = dispatch.cost_usd, dispatch.max_cost_usd
    if most is None and cost is None:
        return "unknown: a model has no price" if dispatch.status.terminal else None
    if most is None:
        return f"{cost:.4f} USD" if cost else None
    known = "unknown" if dispatch.status.terminal else "?"
    return f"{known if cost is None else format(cost, '.4f')} of at most {most:.2f} USD"


def withheld_text(dispatch: Dispatch) -> str | None:
    """Return the names of the withheld artifacts, or None."""
    if not dispatch.withheld or dispatch.findings is None:
        return None
    return ", ".join(dispatch.findings.withheld)


def release_command(dispatch: Dispatch) -> str | None:
    """Return the command that releases what is withheld, or None."""
    if not dispatch.withheld or dispatch.findings is None:
        return None
    secrets = " ".join(f"--secret {name}" for name in sorted(dispatch.findings.secrets))
    return f"outpost release {dispatch.id} {secrets} --reason WHY"


def print_dispatch(dispatch: Dispatch) -> None:
    """Print everything worth knowing about one dispatch, and the command that releases what is withheld."""
    out.print(dispatch_table(dispatch))
    if command := release_command(dispatch):
        out.print(Text(f"Release: {command}"))  # outside the table, which breaks long lines: it is there to be copied


def findings_text(findings: Findings) -> str:
    """Return the places of secrets, one a line."""
    lines = [f"{place}{'' if place.known else ' (looks like one)'}" for place in findings.places]
    more = sum(findings.secrets.values()) + sum(findings.formats.values()) - len(lines)
    return "\n".join([*map(printable, lines), *([f"{more} more: findings.json"] if more > 0 else [])])


def since(moment: datetime) -> str:
    """Return a time with how long ago it was."""
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{moment.astimezone():%Y-%m-%d %H:%M} ({seconds // length} {unit} ago)"
    return f"{moment.astimezone():%Y-%m-%d %H:%M} (now)"


def duration(dispatch: Dispatch) -> str | None:
    """Return how long the agent ran, or None before its end."""
    if dispatch.running_at is None or dispatch.ended_at is None:
        return None
    return f"{(dispatch.ended_at - dispatch.running_at).total_seconds():.1f} s"
