"""A tool takes what REST takes: each limit in its schema is the limit of the route that it calls."""

from typing import Any

import httpx
import pytest

from outpost_client.mcp.catalogue import CATALOGUE, Entry
from outpost_client.mcp.schemas import snake
from outpost_client.mcp.tools import bind
from tests.contract.running import Api

LIMITS = (
    *("type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"),
    *("items", "additionalProperties", "anyOf", "default"),
)
"""Without those that a tool's schema cannot have: `tests/contract/test_mcp_clients.py`."""
OWN = {"user_id", "include_logs"}
"""Arguments that REST does not have."""
OTHER_DEFAULTS = {("outpost_status", "log_limit")}


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    return dict(httpx.get(f"{api.url}/openapi.json", timeout=120).json())


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] | schema
    return schema


def limits(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The parts of a schema that bound a value; where null stands for "left out", those of the other values."""
    schema = resolved(document, schema)
    kept: dict[str, Any] = {name: schema[name] for name in LIMITS if name in schema}
    if "\\x" in kept.get("pattern", ""):
        del kept["pattern"]
    for name in ("items", "additionalProperties"):
        if isinstance(kept.get(name), dict):
            kept[name] = limits(document, kept[name])
    for option in kept.pop("anyOf", ()):
        if option.get("type") != "null":
            kept |= limits(document, option)
    return kept


def rest_arguments(document: dict[str, Any], entry: Entry) -> dict[str, tuple[dict[str, Any], bool]]:
    """Each argument of the route by its name in MCP: its limits, and whether it is required."""
    operation = document["paths"][entry.path][entry.method.lower()]
    found = {
        snake(each["name"]): (limits(document, each["schema"]), each["required"])
        for each in operation.get("parameters", [])
    }
    if body := operation.get("requestBody"):
        schema = resolved(document, body["content"]["application/json"]["schema"])
        options = [resolved(document, option) for option in schema.get("anyOf", [schema])]
        for option in options:
            for name, inner in option.get("properties", {}).items():
                found[snake(name)] = (limits(document, inner), name in option.get("required", []))
    return found


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_a_tools_arguments_have_the_limits_of_its_route(document: dict[str, Any], entry: Entry) -> None:
    schema = bind(document)[entry.name].input_schema
    rest = rest_arguments(document, entry)

    assert set(schema["properties"]) - OWN == set(rest)
    assert set(schema["required"]) == {name for name, (_, required) in rest.items() if required}
    assert schema["additionalProperties"] is False
    for name, (expected, _) in rest.items():
        found = limits(document, schema["properties"][name])
        if (entry.name, name) in OTHER_DEFAULTS:
            found["default"] = expected["default"]
        assert found == expected, name


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_argument_is_explained_in_mcps_own_words(document: dict[str, Any], entry: Entry) -> None:
    bound = bind(document)[entry.name]
    for name, schema in bound.input_schema["properties"].items():
        assert schema["description"], name
        assert not [word for word in bound.operation.names if f"`{word}`" in schema["description"]], name


def test_limits_are_really_compared(document: dict[str, Any]) -> None:
    """The comparison sees what it is meant to see."""
    task, required = rest_arguments(document, CATALOGUE[0])["task"]
    assert task == {"type": "string", "minLength": 10, "maxLength": 50_000}
    assert required
