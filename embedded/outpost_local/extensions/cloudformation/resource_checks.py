"""Where the embedded CloudFormation asks our rules before it creates, updates or deletes a resource.

A rule raises ValueError with AWS's message; the operation then fails and rolls back as on AWS. MiniStack calls its
handlers without any of these checks.
"""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners, stacks

from outpost_local.extensions.cloudformation.handlers import Properties

CreateRule = Callable[[str, str, Properties], None]
"""Takes the resource type, the logical id and the properties."""
DeleteRule = Callable[[str, str, Properties], None]
"""Takes the resource type, the physical id and the properties."""

before_write: list[CreateRule] = []
"""Rules for the new properties of every create and update."""
before_create: list[CreateRule] = []
"""Rules for creates only, a replacement included."""
before_delete: list[DeleteRule] = []
"""Rules for deletes: of a stack, of a rollback, and of what an update replaced or dropped."""


def install() -> None:
    """Wrap the three functions through which CloudFormation reaches its handlers."""
    wrapped = {
        "_provision_resource": _checked_create(provisioners._provision_resource),
        "_update_resource": _checked_update(provisioners._update_resource),
        "_delete_resource": _checked_delete(provisioners._delete_resource),
    }
    for name, function in wrapped.items():
        setattr(provisioners, name, function)
        setattr(stacks, name, function)


def _checked_create(create: Callable[..., Any]) -> Callable[..., Any]:
    def checked_create(kind: str, logical_id: str, props: Properties, stack: str) -> Any:
        for rule in (*before_write, *before_create):
            rule(kind, logical_id, props)
        return create(kind, logical_id, props, stack)

    return checked_create


def _checked_update(update: Callable[..., Any]) -> Callable[..., Any]:
    def checked_update(
        kind: str, physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str, *rest: Any
    ) -> Any:
        for rule in before_write if old != new else ():
            rule(kind, logical_id, new)
        return update(kind, physical_id, old, new, stack, logical_id, *rest)

    return checked_update


def _checked_delete(delete: Callable[..., Any]) -> Callable[..., Any]:
    def checked_delete(kind: str, physical_id: str, props: Properties, *rest: Any) -> None:
        for rule in before_delete:
            rule(kind, physical_id, props)
        delete(kind, physical_id, props, *rest)

    return checked_delete
