"""Log lines as the API shows them."""

from datetime import datetime

from pydantic import Field, TypeAdapter

from control_plane.envelope import Body, View
from outpost.domain.artifacts import LogLine, LogSource


class LogQuery(Body):
    """Which part of the log to read."""

    limit: int = Field(default=200, ge=1, le=1_000, description="Most lines on a page.")
    cursor: str | None = Field(default=None, description="`meta.pagination.cursor` of the page before.")


class LogLineView(View):
    """One line of a dispatch's log."""

    timestamp: datetime = Field(description="When the line was printed.")
    level: str = Field(description="`info`, `warning` or `error`.")
    source: LogSource = Field(description="Who printed it: the agent, the executor around it, or the platform.")
    message: str = Field(description="The line, with secrets removed.")


_LINES = TypeAdapter(list[LogLineView])


def shown(lines: list[LogLine]) -> list[LogLineView]:
    """Return the lines as the API shows them."""
    return _LINES.validate_python([vars(line) for line in lines])


class InlineLogs(View):
    """Log lines that come with a dispatch's status."""

    lines: list[LogLineView] = Field(description="The lines from `logOffset` on.")
    next_offset: int = Field(description="`logOffset` for what follows these lines.")
    has_more: bool = Field(description="Whether more lines can be read now.")
