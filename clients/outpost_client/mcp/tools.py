"""Tools that can be listed and called: the catalogue joined with the service's own description of its operations."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote

import httpx
from mcp_types import Tool
from pydantic import BaseModel, JsonValue, ValidationError

from outpost_client.errors import ApiError, Detail, not_understood, refused, unreachable
from outpost_client.mcp.catalogue import CATALOGUE, LABEL, LABEL_SCHEMA, Arguments, Entry
from outpost_client.mcp.schemas import (
    Document,
    Operation,
    Schema,
    operation,
    portable,
    read_arguments,
    respell,
    snake,
    to_snake,
    value_to_snake,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Data(BaseModel):
    """What a successful response holds, without a model: the OpenAPI document describes it."""

    data: JsonValue
    meta: dict[str, JsonValue]


@dataclass(frozen=True)
class BoundTool:
    """A tool bound to the operations of one service."""

    entry: Entry
    operation: Operation
    beside: Mapping[str, Operation]

    @property
    def tool(self) -> Tool:
        """The tool as clients list it."""
        return Tool(
            name=self.entry.name,
            title=self.entry.title,
            description=self.entry.description,
            input_schema=self.input_schema,
            output_schema=self.output_schema,
            annotations=self.entry.annotations,
        )

    @cached_property
    def input_schema(self) -> Schema:
        """Every argument, with the limits that REST has."""
        fields = self.operation.fields
        properties = {name: to_snake(each.schema, self.operation.names) for name, each in fields.items()}
        for name, own in ({LABEL: LABEL_SCHEMA} | dict(self.entry.extra)).items():
            properties[name] = properties.get(name, {}) | own
        required = [name for name, each in fields.items() if each.required]
        return portable(
            {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        )

    @property
    def output_schema(self) -> Schema:
        """What the structured result holds: the operation's data; a list under `items`, with its pagination."""
        data = to_snake(self.operation.data, self.operation.names)
        if data.get("type") == "array":
            page = {"type": "object", "description": "Where the list continues: `cursor`, `has_more`, `limit`."}
            return {"type": "object", "properties": {"items": data, "pagination": page}, "required": ["items"]}
        beside = {
            name: {"anyOf": [to_snake(each.data, each.names), {"type": "null"}]} for name, each in self.beside.items()
        }
        return data | {"properties": data["properties"] | beside}

    async def call(self, http: httpx.AsyncClient, arguments: Arguments) -> dict[str, Any]:
        """Call the operation and return the structured result. Raises `ApiError` with MCP's names."""
        request = self._request(http, arguments)
        try:
            result = await _result(self.operation, http, request)
            return result | {name: await self._glimpse(http, each) for name, each in self.beside.items()}
        except ApiError as error:
            raise self._in_mcp_names(error) from error

    def _request(self, http: httpx.AsyncClient, arguments: Arguments) -> httpx.Request:
        """Place each argument where REST wants it; the service validates the values."""
        schema = self.input_schema
        known = schema["properties"]
        unknown = [name for name in arguments if name not in known]
        if unknown:
            raise _invalid(*((name, f"is not known here; known: {', '.join(known)}") for name in unknown))
        typed = read_arguments(arguments, schema)
        label = typed.pop(LABEL, None)
        given = {name: value for name, value in self.entry.adapt(typed, label).items() if value is not None}
        parts: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}, "body": {}}
        for name, each in self.operation.fields.items():
            if name in given:
                parts[each.where][each.rest_name] = given[name]
            elif each.where == "path":
                raise _invalid((name, "is missing: it is required"))
        has_body = any(each.where == "body" for each in self.operation.fields.values())
        return http.build_request(
            self.operation.method,
            _fill(self.operation.path, parts["path"]),
            params=_parameters(parts["query"]),
            headers={name: str(value) for name, value in parts["header"].items()},
            json=parts["body"] if has_body else None,
        )

    async def _glimpse(self, http: httpx.AsyncClient, other: Operation) -> dict[str, Any] | None:
        try:
            return await _result(other, http, http.build_request(other.method, other.path))
        except ApiError as error:
            if error.code != "AUTHORIZATION_ERROR":
                raise
            return None

    def _in_mcp_names(self, error: ApiError) -> ApiError:
        spell = partial(respell, names=self.operation.names)
        details = [Detail(spell(each.field), spell(each.message)) for each in error.details]
        return ApiError(error.code, spell(error.message), details, error.request_id, error.retry_after)


def bind(document: Document) -> dict[str, BoundTool]:
    """Return the tools by name. Raises `KeyError` naming an operation that the service lacks."""
    return {
        entry.name: BoundTool(
            entry,
            operation(document, entry.method, entry.path),
            {name: operation(document, "GET", path) for name, path in entry.beside.items()},
        )
        for entry in CATALOGUE
    }


def error_text(error: ApiError) -> str:
    """Return what a model needs in order to do better: code, message, the fields at fault, when to try again."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        content["details"] = [{"field": each.field, "message": each.message} for each in error.details]
    if error.retry_after is not None:
        content["retry_after_seconds"] = error.retry_after
    if error.request_id:
        content["request_id"] = error.request_id
    return json.dumps(content)


async def openapi(http: httpx.AsyncClient) -> dict[str, JsonValue]:
    """Return the service's OpenAPI document. Raises `ApiError`."""
    document: dict[str, JsonValue] = (await _send(http, http.build_request("GET", "/openapi.json"))).json()
    return document


async def _send(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        response = await http.send(request)
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if response.is_error:
        raise refused(response)
    return response


async def _result(of: Operation, http: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
    response = await _send(http, request)
    try:
        found = Data.model_validate_json(response.content)
    except ValidationError as error:
        raise not_understood(response) from error
    data = value_to_snake(found.data, of.data)
    if isinstance(data, list):
        pagination: Any = found.meta["pagination"]
        return {"items": data, "pagination": {snake(name): value for name, value in pagination.items()}}
    result: dict[str, Any] = data
    return result


def _parameters(query: Mapping[str, JsonValue]) -> dict[str, str | list[str]]:
    """Spell the values of a query as JSON does, strings without their quotes."""
    return {name: [*map(_text, value)] if isinstance(value, list) else _text(value) for name, value in query.items()}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fill(path: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        if not isinstance(value, str) or _ID.fullmatch(value) is None:
            raise _invalid((name, "is not an id: give it as another tool's result shows it"))
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


def _invalid(*details: tuple[str, str]) -> ApiError:
    field, message = details[0]
    return ApiError("VALIDATION_ERROR", f"{field}: {message}", [Detail(*each) for each in details])
