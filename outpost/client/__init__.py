"""A typed client of Outpost's REST API."""

from outpost.client.errors import ApiError
from outpost.client.session import Client

__all__ = ["ApiError", "Client"]
