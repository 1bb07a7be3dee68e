"""CloudFormation's resource schemas: which properties of a type cannot be set, and which replace the resource.

Source: the resource provider schemas of the CloudFormation registry in us-east-1, as cfn-lint ships them. Its files are
read directly: importing cfn-lint takes more than a second, its schema files some milliseconds.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Pointer = tuple[str, ...]
"""A property's path: `("Budget", "BudgetName")`; `*` stands for every element of a list."""

_REGION = "us-east-1"


@cache
def schema(kind: str) -> dict[str, Any] | None:
    """Return the schema of a resource type, or None when the registry has none (custom resources)."""
    digest = _digests().get(kind)
    if digest is None:
        return None
    found: dict[str, Any] = json.loads((_folder() / "resources" / f"{digest}.json").read_text())
    return found


@cache
def create_only(kind: str) -> tuple[Pointer, ...]:
    """Return the properties whose change replaces a resource of the type ("Update requires: Replacement")."""
    return _pointers(kind, "createOnlyProperties")


@cache
def read_only(kind: str) -> tuple[Pointer, ...]:
    """Return what Fn::GetAtt and Ref return and no template may set."""
    return _pointers(kind, "readOnlyProperties")


@cache
def identifier(kind: str) -> Pointer | None:
    """Return the property that Ref returns for the type, or None when it returns something combined."""
    found = _pointers(kind, "primaryIdentifier")
    return found[0] if len(found) == 1 else None


@cache
def custom_name(kind: str) -> str | None:
    """Return the property with which a template names a resource of the type, or None."""
    resource = kind.rpartition("::")[2]
    names = {path[0] for path in create_only(kind) if len(path) == 1}
    candidates = ["Name", *(f"{resource[start:]}Name" for start in range(len(resource)) if resource[start].isupper())]
    return next((name for name in candidates if name in names), None)


def _pointers(kind: str, key: str) -> tuple[Pointer, ...]:
    listed = (schema(kind) or {}).get(key, [])
    return tuple(tuple(pointer.split("/")[2:]) for pointer in listed)


@cache
def _folder() -> Path:
    found = find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("cfn-lint is not installed: run `make setup`")
    return Path(found.submodule_search_locations[0], "data", "schemas")


@cache
def _digests() -> dict[str, str]:
    digests: dict[str, str] = json.loads((_folder() / "providers" / f"{_REGION}.json").read_text())
    return digests
