"""What to give in place of a value that pydantic refused, for people: its own messages name neither value nor remedy.

The types are those of pydantic's documentation, "Validation Errors".
"""

import json
from collections.abc import Mapping, Sized
from typing import Any

_LONGEST = 80
"""Characters of a value that a message shows."""
_BY_TYPE: Mapping[str, str] = {
    "missing": "add it",
    "extra_forbidden": "remove it or correct its name",
    "unexpected_keyword_argument": "remove it or correct its name",
    "string_unicode": "give a text without lone surrogates",
    "literal_error": "give {expected}",
    "enum": "give {expected}",
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give {ge} or more",
    "less_than": "give less than {lt}",
    "less_than_equal": "give {le} or less",
    "finite_number": "give a finite number",
    "string_too_short": "give {min_length} characters or more",
    "string_too_long": "give {max_length} characters or fewer",
    "string_pattern_mismatch": "give a text that matches {pattern}",
    "too_short": "give {min_length} or more",
    "too_long": "give {max_length} or fewer",
}
_BY_KIND: Mapping[str, str] = {
    "bool": "give true or false",
    "date": "give a day as YYYY-MM-DD",
    "datetime": "give a time with its zone, such as 2026-01-31T12:00:00Z",
    "timezone": "give a time with its zone, such as 2026-01-31T12:00:00Z",
    "dict": "give an object",
    "mapping": "give an object",
    "model": "give an object",
    "float": "give a number",
    "frozen": "give a list",
    "int": "give a whole number",
    "list": "give a list",
    "set": "give a list",
    "string": "give a text",
    "time": "give a time of day such as 08:00",
    "tuple": "give a list",
}
"""First word of the type, such as `date_from_datetime_parsing`."""
_COUNTED = {
    "string_too_short": "characters",
    "string_too_long": "characters",
    "too_short": "entries",
    "too_long": "entries",
}


def remedy_of(fault: Mapping[str, Any]) -> str:
    """Return what to do about one entry of `ValidationError.errors()`; the message itself for a `ValueError`."""
    remedy = _BY_TYPE.get(fault["type"]) or _BY_KIND.get(fault["type"].partition("_")[0])
    if remedy is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    return remedy.format(**{name: _plain(limit) for name, limit in fault.get("ctx", {}).items()})


def _plain(limit: object) -> object:
    """Return a limit without the `.0` of a whole number."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def explain(fault: Mapping[str, Any], *, secret: bool = False) -> str:
    """Return what is wrong with a field of a request, and the remedy; a `secret` value is not shown."""
    kind = fault["type"]
    if kind == "missing":
        return "is missing: add it"
    if kind in _COUNTED and isinstance(fault["input"], Sized):
        return f"has {len(fault['input'])} {_COUNTED[kind]}: {remedy_of(fault)}"
    if secret or kind == "value_error":
        return remedy_of(fault)
    return f"is {shown(fault['input'])}: {remedy_of(fault)}"


def shown(value: object) -> str:
    """Return a value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
