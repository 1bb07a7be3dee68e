"""A typed client of Outpost's REST API."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outpost_client.errors import ApiError
    from outpost_client.session import Client

__all__ = ["ApiError", "Client"]

_PLACES = {"ApiError": "errors", "Client": "session"}


def __getattr__(name: str) -> object:
    """Import the client when it is first used: HTTP takes most of the time in which a command starts."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
