"""A changed create-only property replaces the resource, for every type that has a schema.

MiniStack knows the create-only properties of some types; for the others its update handler changes in place what AWS
would create again under a new id. The replacement itself (create, update the dependants, delete the old one in the
clean-up phase unless UpdateReplacePolicy retains it) is MiniStack's. When a custom name stays the same AWS refuses, as
two resources cannot have one name. Sources: the registry's schemas (`createOnlyProperties`); CloudFormation User
Guide, "Update behaviors of stack resources" and "Name type" (custom names).
"""

from typing import Any

from ministack.services.cloudformation import provisioners, stacks

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_ops.aws_rules.resource_schemas import Pointer, create_only, custom_name, schema

_NAMED_IN_PARENT = {"AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::Logs::MetricFilter"}
"""Types whose names are unique within another resource only: a replacement belongs to another one."""


def install() -> None:
    """Add the schemas' knowledge to MiniStack's."""
    recreation = provisioners._property_recreation

    def property_recreation(kind: str, name: str) -> str:
        known: str = recreation(kind, name)
        if known == "Always" or schema(kind) is None:
            return known
        paths = [path for path in create_only(kind) if path[0] == name]
        if any(len(path) == 1 for path in paths):
            return "Always"
        return "Conditionally" if paths else known

    def replacing_change(kind: str, old: Properties, new: Properties) -> bool:
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        return any(property_recreation(kind, name) == "Always" for name in changed) or any(
            _values(old, path) != _values(new, path) for path in create_only(kind)
        )

    for module in (provisioners, stacks):
        module._property_recreation = property_recreation
        module._replacing_change = replacing_change
    for kind in provisioners._RESOURCE_HANDLERS.keys() - _NAMED_IN_PARENT:
        if kind not in provisioners._CUSTOM_NAME_REPLACEMENT and (name := custom_name(kind)):
            provisioners._CUSTOM_NAME_REPLACEMENT[kind] = {"name": name}


def _values(value: Any, path: Pointer) -> list[Any]:
    """Every value at the path; `*` goes through lists and maps."""
    if not path:
        return [value]
    if path[0] == "*":
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [found for member in members for found in _values(member, path[1:])]
    return _values(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []
