"""Readers of JSON of unknown shape: each returns what is at a path, or an empty value, and never raises."""

import json
from collections.abc import Iterator, Mapping


def parsed(text: str | bytes) -> object:
    """Return the value of a JSON text; None for a text that is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def value_at(value: object, *path: str) -> object:
    """Return what is at a path of field names; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text_at(value: object, *path: str) -> str:
    """Return the text at a path; "" where there is something else."""
    found = value_at(value, *path)
    return found if isinstance(found, str) else ""


def error_text_at(value: object, *path: str) -> str:
    """Return the error at a path: a text, or an object with a `message`; "" where there is something else."""
    return text_at(value, *path) or text_at(value, *path, "message")


def number_at(value: object, *path: str) -> int | None:
    """Return the whole number at a path; None where there is something else."""
    found = value_at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def object_at(value: object, *path: str) -> Mapping[str, object]:
    """Return the object at a path; an empty one where there is something else."""
    found = value_at(value, *path)
    return found if isinstance(found, Mapping) else {}


def objects_at(value: object, *path: str) -> Iterator[Mapping[str, object]]:
    """Yield the objects of the list at a path; nothing where there is something else."""
    found = value_at(value, *path)
    yield from (each for each in found if isinstance(each, Mapping)) if isinstance(found, list) else ()
