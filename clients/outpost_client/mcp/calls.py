"""Calls of the API as they are on the wire, without models: the OpenAPI document describes them."""

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
    """What a successful response holds."""

    data: JsonValue
    meta: dict[str, JsonValue]


async def send(http: httpx.AsyncClient, call: Call) -> Data:
    """Make a call and return the response's data. Raises `ApiError`."""
    response = await _request(http, call)
    try:
        return Data.model_validate_json(response.content)
    except ValidationError as error:
        raise not_understood(response) from error


async def openapi(http: httpx.AsyncClient) -> dict[str, JsonValue]:
    """Return the service's OpenAPI document. Raises `ApiError`."""
    document: dict[str, JsonValue] = (await _request(http, Call("GET", "/openapi.json"))).json()
    return document


async def _request(http: httpx.AsyncClient, call: Call) -> httpx.Response:
    try:
        response = await http.request(
            call.method, call.path, params=_parameters(call.query), headers=dict(call.headers), json=call.body
        )
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if response.is_error:
        raise refused(response)
    return response


def _parameters(query: Mapping[str, JsonValue]) -> dict[str, str | list[str]]:
    """Spell the values of a query as JSON does, strings without their quotes."""
    return {name: [*map(_text, value)] if isinstance(value, list) else _text(value) for name, value in query.items()}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
