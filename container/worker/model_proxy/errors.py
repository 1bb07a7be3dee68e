"""Error responses of the model proxy itself, in the provider's own form.

Each status is one that the agents' CLIs report and do not retry; 502 is for failures that may be temporary.
"""

import json

from outpost.domain.providers import BEDROCK, Provider
from worker.provider_errors import error_of_response

_ANTHROPIC = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large", 502: "api_error"}
_GOOGLE = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 502: "UNAVAILABLE"}


class RefusedError(Exception):
    """A request that the proxy does not forward."""

    def __init__(self, status: int, message: str) -> None:
        """`status` of HTTP; `message` as the CLI's output shows it."""
        super().__init__(message)
        self.status = status


def unauthorized(provider: Provider, status: int, body: bytes) -> str:
    """Return the message for a caller that the provider rejects: IAM has many reasons, a key has one."""
    if provider.name != BEDROCK:
        return f"{provider.name} rejects the key"
    return f"{provider.name} rejects the caller: {error_of_response(status, body).message}"


def error_body(provider: Provider, status: int, message: str) -> bytes:
    """Return the body of an error response, in JSON."""
    text = f"Outpost: {message}"
    if provider.api == "anthropic":
        kind = _ANTHROPIC.get(status, "invalid_request_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    if provider.api == "google":
        code = _GOOGLE.get(status, "INVALID_ARGUMENT")
        return json.dumps({"error": {"code": status, "message": text, "status": code}}).encode()
    kind = "server_error" if status == 502 else "invalid_request_error"
    return json.dumps({"error": {"message": text, "type": kind, "param": None, "code": None}}).encode()
