"""The one exception of the client."""

from collections.abc import Sequence
from dataclasses import dataclass

UNREACHABLE = "UNREACHABLE"
"""Code of an error for which no answer came at all."""


@dataclass(frozen=True)
class Detail:
    """One field that the API refused, and why."""

    field: str
    message: str


class ApiError(Exception):
    """The API refused a request, or gave no answer that could be understood.

    `code` is one of the API's error codes or `UNREACHABLE`; `request_id` finds the request in the service's log.
    """

    def __init__(
        self, code: str, message: str, details: Sequence[Detail] = (), request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.request_id = request_id
