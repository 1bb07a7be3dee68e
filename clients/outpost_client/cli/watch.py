"""Following a dispatch to its end: states and log lines as they come."""

from typing import TYPE_CHECKING

from rich.text import Text

from outpost_client.cli.output import (
    err,
    log_text,
    out,
    print_json,
    printable,
    release_command,
    status_text,
    withheld_text,
)
from outpost_client.models import Dispatch, LogLine
from outpost_client.results import Status

if TYPE_CHECKING:
    from outpost_client.session import Client

EXIT_CODES = {Status.SUCCESS: 0, Status.FAILED: 1, Status.TIMEOUT: 124, Status.CANCELLED: 130}
"""Exit code of a command that followed a dispatch to its end."""


def watch(client: "Client", dispatch_id: str, *, as_json: bool = False) -> Dispatch:
    """Print a dispatch's states and log lines until it ended, and return it as it ended.

    With `as_json` each is one line `{"type": "dispatch" or "log", "data": ...}` on standard output.
    """
    try:
        with err.status("", spinner="dots") as spinner:
            for event in client.watch(dispatch_id):
                if as_json:
                    kind = "log" if isinstance(event, LogLine) else "dispatch"
                    print_json({"type": kind, "data": event.model_dump(mode="json", by_alias=True)})
                elif isinstance(event, LogLine):
                    out.print(log_text(event))
                else:
                    _show_state(event)
                if isinstance(event, Dispatch):
                    spinner.update(f"{event.status} (Ctrl-C leaves it running)")
                    last = event
    except KeyboardInterrupt:
        follow, end = f"outpost logs -f {dispatch_id}", f"outpost cancel {dispatch_id}"
        err.print(f"\n{dispatch_id} still runs. Follow: {follow}; end it: {end}")
        raise
    return last


def _show_state(dispatch: Dispatch) -> None:
    line = Text("● ", style="dim") + status_text(dispatch.status, withheld=dispatch.withheld)
    if dispatch.queue_position:
        line.append(f"  position {dispatch.queue_position} in the queue", style="dim")
    if dispatch.status.terminal and dispatch.reason:
        line.append(f"  {dispatch.reason.code}: {printable(dispatch.reason.message)}", style="dim")
        if dispatch.status is not Status.SUCCESS or dispatch.withheld:
            line.append(f" {dispatch.reason.remedy}")
    if withheld := withheld_text(dispatch):
        line.append(f"\nwithheld: {withheld}; release: {release_command(dispatch)}")
    err.print(line)
