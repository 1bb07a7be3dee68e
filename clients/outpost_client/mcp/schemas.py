"""JSON schemas of tools, made from the service's OpenAPI document, the same in snake_case; and values read by them.

Some clients send every argument as text: `"60"`, `"true"`, or an object as JSON in a string; some send `""` or null for
an argument that they leave out. What has no such reading stays as it is, for the service to refuse.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

Schema = dict[str, Any]
Document = Mapping[str, Any]

_WHERE = ("path", "query", "header")
_PORTABLE = frozenset(
    {
        *("type", "description", "enum", "format", "default", "items", "properties", "required"),
        *("additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern"),
    }
)


def snake(name: str) -> str:
    """Return a name of REST (`timeoutSeconds`, `Idempotency-Key`) as MCP spells it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


@dataclass(frozen=True)
class Field:
    """One argument of an operation: what REST calls it and where it travels."""

    rest_name: str
    where: str
    """`path`, `query`, `header` or `body`."""
    schema: Schema
    required: bool


@dataclass(frozen=True)
class Operation:
    """One operation of the document, as a tool sees it."""

    method: str
    path: str
    scopes: tuple[str, ...]
    fields: Mapping[str, Field]
    """By the name in MCP."""
    data: Schema
    """Schema of the response's data, names as REST spells them."""
    names: Mapping[str, str] = field(repr=False)
    """Every name of the document that MCP spells differently."""


def operation(document: Document, method: str, path: str) -> Operation:
    """Read an operation. Raises `KeyError` when the service has none such."""
    found = document["paths"][path][method.lower()]
    names = camel_names(document)
    arguments = dict(_fields(document, found))
    responses = [response for status, response in found["responses"].items() if status.startswith("2")]
    envelope = expand(document, responses[0]["content"]["application/json"]["schema"])
    scopes = {scope for scheme in found.get("security", []) for granted in scheme.values() for scope in granted}
    return Operation(method, path, tuple(sorted(scopes)), arguments, envelope["properties"]["data"], names)


def _fields(document: Document, found: Mapping[str, Any]) -> Iterator[tuple[str, Field]]:
    for parameter in found.get("parameters", []):
        if parameter["in"] in _WHERE:
            schema = {"description": parameter.get("description", ""), **expand(document, parameter["schema"])}
            yield snake(parameter["name"]), Field(parameter["name"], parameter["in"], schema, parameter["required"])
    if "requestBody" in found:
        body = expand(document, found["requestBody"]["content"]["application/json"]["schema"])
        for option in body.get("anyOf", [body]):  # a body that may be left out is this or null
            for name, schema in option.get("properties", {}).items():
                yield snake(name), Field(name, "body", schema, name in option.get("required", ()))


def _mapped(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return a schema with the schemas within it changed."""
    mapped = dict(schema)
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(mapped.get(key), dict):
            mapped[key] = change(mapped[key])
    for key in {"anyOf", "oneOf", "allOf"} & mapped.keys():
        mapped[key] = [change(inner) for inner in mapped[key]]
    if "properties" in mapped:
        mapped["properties"] = {name: change(inner) for name, inner in mapped["properties"].items()}
    return mapped


def expand(document: Document, schema: Schema) -> Schema:
    """Return a schema with its references resolved and without generated titles: clients read one piece."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        own = {key: value for key, value in schema.items() if key != "$ref"}
        return expand(document, document["components"]["schemas"][name]) | own
    untitled = {key: value for key, value in schema.items() if key != "title"}
    return _mapped(untitled, partial(expand, document))


def to_snake(schema: Schema, names: Mapping[str, str]) -> Schema:
    """Return an expanded schema with the names of its properties, and those in its descriptions, in snake_case."""
    changed = _mapped(schema, partial(to_snake, names=names))
    if "properties" in changed:
        changed["properties"] = {snake(name): inner for name, inner in changed["properties"].items()}
    if "required" in changed:
        changed["required"] = [snake(name) for name in changed["required"]]
    if "description" in changed:
        changed["description"] = respell(changed["description"], names).replace("meta.", "")  # a result has no envelope
    return changed


def portable(schema: Schema) -> Schema:
    """Return a tool's input schema with the keywords that the function calling of every model's provider takes.

    An argument that may be null is one that may be left out. (Gemini API: FunctionDeclaration and Schema; OpenAI:
    Structured outputs, supported schemas; Anthropic: Tool use.) The service checks the limits that are left out here.
    """
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return portable({**option, **{key: value for key, value in schema.items() if key != "anyOf"}})
    kept = {key: value for key, value in schema.items() if key in _PORTABLE}
    if "\\x" in kept.get("pattern", ""):  # an escape that not every provider's grammar has
        del kept["pattern"]
    return _mapped(kept, portable)


def value_to_snake(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - JSON
    """Return a value with the names that its schema knows in snake_case; keys that are data, such as tags, stay."""
    if isinstance(value, list):
        return [value_to_snake(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    for option in schema.get("anyOf", []):
        if "properties" in option or "additionalProperties" in option:
            return value_to_snake(value, option)
    known = schema.get("properties", {})
    other = schema.get("additionalProperties")
    inner = other if isinstance(other, dict) else {}
    return {snake(key) if key in known else key: value_to_snake(v, known.get(key, inner)) for key, v in value.items()}


def camel_names(document: Document) -> dict[str, str]:
    """Return every property and parameter that MCP spells differently: REST's name -> MCP's."""
    components = document["components"]["schemas"].values()
    names = {name for schema in components for name in schema.get("properties", {})}
    operations = (each for path in document["paths"].values() for each in path.values())
    names |= {parameter["name"] for each in operations for parameter in each.get("parameters", [])}
    return {name: snake(name) for name in names if snake(name) != name}


def respell(text: str, names: Mapping[str, str]) -> str:
    """Replace REST's names in a text by MCP's."""
    return re.sub(r"[A-Za-z][A-Za-z-]*", lambda word: names.get(word[0], word[0]), text)


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
