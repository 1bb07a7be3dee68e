"""Write the generated parts of docs/api.md and docs/mcp.md from the service itself: `python tools/reference_pages.py`.

A part is what stands between `<!-- generated: name -->` and `<!-- end -->`; the rest of a page is written by hand.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "container")]

from control_plane.app import create_app  # noqa: E402 - found on the path set above
from control_plane.services import Services  # noqa: E402
from outpost_client.mcp.schemas import Schema  # noqa: E402
from outpost_client.mcp.tools import BoundTool, bind  # noqa: E402

PAGES = (ROOT / "docs" / "api.md", ROOT / "docs" / "mcp.md")
OPERATION = tuple[str, str, dict[str, Any]]
_PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TAKEN = ("Request", "Change")
"""How the names of objects end that the API takes: only there it matters what is required."""
_COLUMNS = "name | type | what"


def document() -> dict[str, Any]:
    """Return the service's OpenAPI document; it depends on nothing that a deployment decides."""
    services = cast("Services", SimpleNamespace(settings=SimpleNamespace(version="0", hosts=())))
    return create_app(services).openapi()


def rewritten(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with its generated parts made anew. Raises `KeyError` naming a part that nothing makes."""
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]].strip()}\n\n{found[3]}", page)


def parts() -> dict[str, str]:
    """Return every generated part by its name."""
    described = document()
    tools = bind(described)
    return {
        "routes": _routes(described),
        "operations": "\n".join(_operation(described, each) for each in _operations(described)),
        "objects": "\n".join(_objects(described)),
        "errors": _errors(described),
        "tools": _tools(tools),
        "tool-reference": "\n".join(_tool(tools, bound) for bound in tools.values()),
        "dispatch": _table(_dispatch(tools)),
    }


def _operations(described: dict[str, Any]) -> Iterator[OPERATION]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _scope(operation: Mapping[str, Any]) -> str:
    schemes = operation.get("security", [])
    return next((f"`{granted[0]}`" for scheme in schemes for granted in scheme.values() if granted), "none")


def _routes(described: dict[str, Any]) -> str:
    rows = [
        f"| [`{method} {path}`](#{_anchor(each['summary'])}) | {_scope(each)} | {each['summary']} |"
        for method, path, each in _operations(described)
    ]
    return _grid("method and path | scope | what", rows)


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def _operation(described: dict[str, Any], operation: OPERATION) -> str:
    method, path, found = operation
    lines = [f"### {found['summary']}", f"`{method} {path}` · scope: {_scope(found)}", "", found["description"], ""]
    if parameters := found.get("parameters"):
        named = {f"{each['name']}` ({each['in']})": each for each in parameters}
        rows = {name: each["schema"] | {"description": each.get("description", "")} for name, each in named.items()}
        required = [name for name, each in named.items() if each["required"]]
        lines += ["Parameters:", "", _values(rows, required, described["components"]["schemas"]), ""]
    if "requestBody" in found:
        schema = found["requestBody"]["content"]["application/json"]["schema"]
        lines += [f"Body: {_type(schema)}.", ""]
    for status, response in found["responses"].items():
        lines.append(f"- **{status}**: {_response(described, response)}")
    return "\n".join([*lines, ""])


def _response(described: dict[str, Any], response: Mapping[str, Any]) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    name = _ref(schema)
    if not name.startswith("Success"):
        return str(response["description"])
    data = described["components"]["schemas"][name]["properties"]["data"]
    text = response["description"]
    return f"{'' if text == 'Successful Response' else f'{text} '}`data` is {_type(data)}."


def _objects(described: dict[str, Any]) -> Iterator[str]:
    schemas = described["components"]["schemas"]
    for name, schema in schemas.items():
        if name.startswith("Success"):
            continue
        if "properties" in schema:
            required = schema.get("required", []) if name.endswith(_TAKEN) else []
            body = _values(schema["properties"], required, schemas)
        else:
            body = f"One of {', '.join(f'`{value}`' for value in schema['enum'])}."
        yield f"### {name}\n{schema.get('description', '').strip()}\n\n{body}\n"


def _errors(described: dict[str, Any]) -> str:
    codes: dict[str, str] = {}
    for _, _, operation in _operations(described):
        for status, response in operation["responses"].items():
            if re.match(r"[A-Z_]+: ", response["description"]):
                codes[status] = response["description"]
    rows = [f"| {status} | `{text.partition(': ')[0]}` | {text.partition(': ')[2]} |" for status, text in codes.items()]
    return _grid("status | code | what", sorted(rows))


def _values(properties: Mapping[str, Schema], required: list[str], schemas: Mapping[str, Schema]) -> str:
    """Return a table of values by name; `schemas` has what is said of those that are references."""
    rows = []
    for name, schema in properties.items():
        known = {**schemas.get(_ref(schema), {}), **schema}
        label = name if "`" in name else f"{name}`"
        rows.append(_row(f"`{label}", _type(schema), _what(known, name in required and "default" not in schema)))
    return _grid(_COLUMNS, rows)


def _grid(head: str, rows: Iterable[str]) -> str:
    return "\n".join([f"| {head} |", f"|{'---|' * (head.count('|') + 1)}", *rows])


def _row(*cells: str) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).strip().replace("|", "\\|") for cell in cells) + " |"


def _ref(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _type(schema: Schema) -> str:
    """Return what a value is: a link for one of our objects, else its JSON type."""
    if name := _ref(schema):
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return {"date-time": "time"}.get(schema.get("format", ""), str(schema.get("type", "any")))


def _what(schema: Schema, required: bool) -> str:
    """Return what a value means, with every limit that is checked."""
    limits = dict(_limits(schema))
    for option in schema.get("anyOf", []):
        limits |= dict(_limits(option))
    notes = ["required"] if required else []
    notes += [f"{label} {value}" for label, value in limits.items()]
    if "default" in schema and schema["default"] not in (None, [], {}):
        notes.append(f"default `{str(schema['default']).lower()}`")
    text = str(schema.get("description", "")).strip()
    return f"{text} ({'; '.join(notes)})" if notes else text


def _limits(schema: Schema) -> Iterator[tuple[str, str]]:
    if "enum" in schema:
        yield "one of", ", ".join(f"`{value}`" for value in schema["enum"])
    for low, high, label in (
        ("minLength", "maxLength", "length"),
        ("minimum", "maximum", "value"),
        ("minItems", "maxItems", "entries"),
        ("minProperties", "maxProperties", "entries"),
    ):
        bounds = [f"{schema[bound]:,}".removesuffix(".0") for bound in (low, high) if bound in schema]
        if len(bounds) == 2:
            yield label, " to ".join(bounds)
        elif bounds:
            yield label, f"{'up to' if high in schema else 'at least'} {bounds[0]}"
    if "pattern" in schema:
        yield "pattern", f"`{schema['pattern']}`"


def _tools(tools: Mapping[str, BoundTool]) -> str:
    rows = [
        f"| [`{name}`](#{name}) | {', '.join(f'`{s}`' for s in bound.operation.scopes) or 'any'} | {_hints(bound)} | "
        f"`{bound.entry.method} {bound.entry.path}` |"
        for name, bound in tools.items()
    ]
    return _grid("tool | scope | hints | the same in REST", rows)


def _hints(bound: BoundTool) -> str:
    hints = bound.entry.annotations
    if hints.read_only_hint:
        return "reads"
    effect = "destroys" if hints.destructive_hint else "adds"
    return f"{effect}, {'repeatable' if hints.idempotent_hint else 'each call counts'}"


def _tool(tools: Mapping[str, BoundTool], bound: BoundTool) -> str:
    given, response = bound.input_schema, bound.output_schema
    lines = [f"### {bound.entry.name}", bound.entry.description, "", "Input:", ""]
    lines += [_values(given["properties"], given["required"], {}), "", "Output:", ""]
    dispatch, properties = _dispatch(tools)["properties"], response["properties"]
    if set(dispatch) <= set(properties):
        rest = {name: schema for name, schema in properties.items() if name not in dispatch}
        lines.append(f"A [dispatch](#a-dispatch){' and:' if rest else '.'}")
        lines += ["", _table({"properties": rest})] if rest else []
    elif set(dispatch) <= set(properties.get("items", {}).get("items", {}).get("properties", {})):
        lines.append("`items`, each a [dispatch](#a-dispatch), and `pagination` with `cursor`, `has_more`, `limit`.")
    else:
        lines.append(_table(response))
    return "\n".join([*lines, ""])


def _dispatch(tools: Mapping[str, BoundTool]) -> Schema:
    return tools["outpost_dispatch"].output_schema


def _table(schema: Schema) -> str:
    """Return a table of a whole result: what is inside an object comes below it, as `object.name`."""
    return _grid(_COLUMNS, (_row(f"`{name}`", kind, what) for name, kind, what in _flat(schema)))


def _flat(schema: Schema, above: str = "") -> Iterator[tuple[str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        yield above + name, _type(inner), str(inner.get("description", ""))
        for option in inner.get("anyOf", [inner]):
            if option.get("type") == "array":
                yield from _flat(option["items"], f"{above}{name}[].")
            elif isinstance(option.get("additionalProperties"), dict):
                yield from _flat(option["additionalProperties"], f"{above}{name}.*.")
            else:
                yield from _flat(option, f"{above}{name}.")


def main() -> None:
    """Write the pages."""
    made = parts()
    for page in PAGES:
        page.write_text(rewritten(page.read_text(encoding="utf-8"), made), encoding="utf-8")
        sys.stdout.write(f"{page} is up to date.\n")


if __name__ == "__main__":
    main()
