"""A changed create-only property replaces the resource, for every type that has a schema.

MiniStack knows the create-only properties of some types; for the others its update handler changes in place what AWS
would create again under a new id. The replacement itself (create, update the dependants, delete the old one in the
clean-up phase unless UpdateReplacePolicy retains it) is MiniStack's. When a custom name stays the same AWS refuses, as
two resources cannot have one name. Sources: the registry's schemas (`createOnlyProperties`); CloudFormation User
Guide, "Update behaviors of stack resources" and "Name type" (custom names).
"""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import Patch, around
from outpost_ops.aws_rules.resource_schemas import Pointer, create_only, custom_name, schema

AFTER = ("cloudformation.operations_types", "ec2.network_types", "ecs.scaling")

_NAMED_IN_PARENT = {"AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::Logs::MetricFilter"}
"""Types whose names are unique within another resource only: a replacement belongs to another one."""


def _recreation(recreation: Callable[[str, str], str], kind: str, name: str) -> str:
    known = recreation(kind, name)
    if known == "Always" or schema(kind) is None:
        return known
    paths = [path for path in create_only(kind) if path[0] == name]
    if any(len(path) == 1 for path in paths):
        return "Always"
    return "Conditionally" if paths else known


def _replacing_change(kind: str, old: Properties, new: Properties) -> bool:
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return any(provisioners._property_recreation(kind, name) == "Always" for name in changed) or any(
        _values(old, path) != _values(new, path) for path in create_only(kind)
    )


def _custom_names(known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    kinds = provisioners._RESOURCE_HANDLERS.keys() - _NAMED_IN_PARENT - known.keys()
    return known | {kind: {"name": name} for kind in kinds if (name := custom_name(kind))}


def _values(value: Any, path: Pointer) -> list[Any]:
    """Return every value at the path; `*` goes through lists and maps."""
    if not path:
        return [value]
    if path[0] == "*":
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [found for member in members for found in _values(member, path[1:])]
    return _values(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


_GAP = "create-only properties change in place"
_PROVISIONERS, _STACKS = "services.cloudformation.provisioners", "services.cloudformation.stacks"

PATCHES = (
    around(f"{_PROVISIONERS}._property_recreation", _recreation, _GAP, f"{_STACKS}._property_recreation"),
    Patch(f"{_PROVISIONERS}._replacing_change", lambda _: _replacing_change, _GAP, (f"{_STACKS}._replacing_change",)),
    Patch(f"{_PROVISIONERS}._CUSTOM_NAME_REPLACEMENT", _custom_names, _GAP),
)
