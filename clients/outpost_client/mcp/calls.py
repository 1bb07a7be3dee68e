"""Calls of the API as they are on the wire, for those who translate it: no models, no second truth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from outpost_client.errors import not_understood, refused, unreachable


@dataclass(frozen=True)
class Call:
    """One request of the API."""

    method: str
    path: str
    query: Mapping[str, JsonValue] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, JsonValue] | None = None


class Data(BaseModel):
    """What a successful answer holds."""

    data: JsonValue
    meta: dict[str, JsonValue]


async def send(http: httpx.AsyncClient, call: Call) -> Data:
    """Make a call and return the answer's data. Raises `ApiError`."""
    try:
        answer = await http.request(
            call.method, call.path, params=_parameters(call.query), headers=dict(call.headers), json=call.body
        )
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if answer.is_error:
        raise refused(answer)
    try:
        return Data.model_validate_json(answer.content)
    except ValidationError as error:
        raise not_understood(answer) from error


async def openapi(http: httpx.AsyncClient) -> dict[str, JsonValue]:
    """Return the service's description of itself. Raises `ApiError`."""
    try:
        answer = await http.get("/openapi.json")
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if answer.is_error:
        raise refused(answer)
    document: dict[str, JsonValue] = answer.json()
    return document


def _parameters(query: Mapping[str, JsonValue]) -> dict[str, str | list[str]]:
    """Spell the values of a query as JSON does, strings without their quotes."""
    return {name: [*map(_text, value)] if isinstance(value, list) else _text(value) for name, value in query.items()}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
