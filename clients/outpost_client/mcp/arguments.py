"""Arguments as models and clients send them, turned into what a tool's schema asks for.

Some clients send every argument as text: `"60"`, `"true"`, or an object as JSON in a string; some send `""` or null for
an argument that they leave out. What has no such reading stays as it is, for the service to refuse.
"""

import json
from collections.abc import Mapping
from typing import Any

from outpost_client.mcp.schemas import Schema


def read_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments with values of the types of a tool's input schema, without those that are left out."""
    required = schema.get("required", ())
    left_out = {name for name, value in arguments.items() if value is None or (value == "" and name not in required)}
    return {name: read(value, schema["properties"][name]) for name, value in arguments.items() if name not in left_out}


def read(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - JSON
    """Return a value as a schema types it, or as it is where it cannot be read so."""
    match schema.get("type"):
        case "string" if isinstance(value, bool | int | float):
            return json.dumps(value)
        case "integer":
            number = _parsed(value)
            return int(number) if isinstance(number, float) and number.is_integer() else number
        case "number" | "boolean":
            return _parsed(value)
        case "array":
            items = _parsed(value, list)
            return [read(item, schema.get("items", {})) for item in (items if isinstance(items, list) else [items])]
        case "object":
            return _object(_parsed(value, dict), schema)
        case _:
            return value


def _object(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return value
    other = schema.get("additionalProperties")
    inner = other if isinstance(other, dict) else {}
    return {name: read(each, schema.get("properties", {}).get(name, inner)) for name, each in value.items()}


def _parsed(value: Any, *kinds: type) -> Any:  # noqa: ANN401 - JSON
    """Return what a text says as JSON, if that is of one of the kinds (else of a number or a boolean)."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value.strip() if kinds else value.strip().lower())
    except ValueError:
        return value
    return found if isinstance(found, kinds or (int, float)) else value
