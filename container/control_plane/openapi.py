"""What the OpenAPI document says beyond the routes and models: the errors, and the ids in paths."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path

from control_plane.envelope import Failure
from control_plane.examples import illustrate

Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS: Mapping[int, str] = {
    400: "VALIDATION_ERROR: `details` names each refused field.",
    401: "AUTHENTICATION_ERROR: no valid API key.",
    403: "AUTHORIZATION_ERROR: the key lacks the scope, or the tenant is suspended.",
    404: "NOT_FOUND: there is nothing of this id in the caller's tenant.",
    409: "CONFLICT: the state of the thing forbids it.",
    413: "PAYLOAD_TOO_LARGE: the body is over 1 MiB.",
    429: "RATE_LIMIT_EXCEEDED: `Retry-After` says when to come back.",
    503: "SERVICE_UNAVAILABLE: `Retry-After` says when to try again.",
}
CONFLICT: dict[str, Any] = {"model": Failure}

DispatchId = Annotated[str, Path(description="ULID of the dispatch.", examples=["01K9ZJ3J0X4T8WB6Q1V5N7M2CD"])]
WorkspaceId = Annotated[str, Path(description="ULID of the workspace.", examples=["01K9ZJ3J0X4T8WB6Q1V5N7M2CE"])]
TenantId = Annotated[str, Path(description="Id of the tenant.", examples=["acme"])]


def errors(*statuses: int) -> Responses:
    """Return the error responses of a route; `default` stands for those that any route may give."""
    documented: Responses = {
        status: {"model": Failure, "description": _DESCRIPTIONS[HTTPStatus(status)]} for status in statuses
    }
    return documented | {"default": {"model": Failure, "description": "Any other error, in the same form."}}


PROTECTED = errors(401, 403)
"""The errors of every route that needs an API key."""


class DocumentedApp(FastAPI):
    """An application whose document shows an example with every operation."""

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            _offer_bearer(document)
            illustrate(document)
        assert self.openapi_schema is not None  # noqa: S101 - FastAPI keeps what it made
        return self.openapi_schema


def _offer_bearer(document: dict[str, Any]) -> None:
    """Say at every operation that needs a key that it may come as a bearer token as well."""
    document["components"]["securitySchemes"]["Bearer"] = {"type": "http", "scheme": "bearer"}
    for path in document["paths"].values():
        for operation in path.values():
            for requirement in list(operation.get("security", [])):
                operation["security"].append({"Bearer": requirement["ApiKey"]})
