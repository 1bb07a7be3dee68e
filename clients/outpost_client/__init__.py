"""A typed client of Outpost's REST API."""

from outpost_client.errors import ApiError
from outpost_client.session import Client

__all__ = ["ApiError", "Client"]
