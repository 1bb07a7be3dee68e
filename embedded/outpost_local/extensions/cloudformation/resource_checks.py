"""The rules that CloudFormation evaluates before it creates, updates or deletes a resource.

A rule raises ValueError with AWS's message; the operation then fails and rolls back as on AWS. MiniStack calls its
handlers without any of these checks.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from outpost_local.extensions.cloudformation import (
    document_limits,
    prerequisites,
    property_validation,
    protected_deletes,
    taken_names,
)
from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.iam import service_linked_roles
from outpost_local.extensions.patch import Patch, around
from outpost_local.extensions.servicequotas import quotas
from outpost_local.settings import Settings

AFTER = ("cloudformation.generated_names",)

Rule = Callable[[str, str, Properties], None]
"""Takes the resource type, the logical id (to delete: the physical id) and the properties."""

_BEFORE_WRITE: tuple[Rule, ...] = (property_validation.validate, document_limits.refuse, quotas.refuse_rules)
"""Rules for the new properties of every create and update."""
_BEFORE_CREATE: tuple[Rule, ...] = (taken_names.refuse_taken_name, prerequisites.check, quotas.refuse_one_more)
"""Rules for creates only, a replacement included."""
_BEFORE_DELETE: tuple[Rule, ...] = (protected_deletes.refuse, taken_names.remember_queue)
"""Rules for deletes: of a stack, of a rollback, and of what an update replaced or dropped."""


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Wrap the three functions through which CloudFormation reaches its handlers."""
    roles = (service_linked_roles.create_with_resource,) if settings.realism.new_account else ()
    create = partial(_create, (*_BEFORE_WRITE, *_BEFORE_CREATE, *roles))
    module, reason = "services.cloudformation", "unknown properties are ignored"
    deleted = "a bucket with an object can be deleted by its stack"
    return tuple(
        around(f"{module}.provisioners.{name}", function, why, f"{module}.stacks.{name}")
        for name, function, why in (
            ("_provision_resource", create, reason),
            ("_update_resource", _update, reason),
            ("_delete_resource", _delete, deleted),
        )
    )


def _create(
    rules: Iterable[Rule], create: Callable[..., Any], kind: str, logical_id: str, props: Properties, stack: str
) -> Any:
    for rule in rules:
        rule(kind, logical_id, props)
    return create(kind, logical_id, props, stack)


def _update(update: Callable[..., Any], *arguments: Any) -> Any:
    kind, _physical_id, old, new, _stack, logical_id, *_ = arguments
    for rule in _BEFORE_WRITE if old != new else ():
        rule(kind, logical_id, new)
    return update(*arguments)


def _delete(delete: Callable[..., None], kind: str, physical_id: str, props: Properties, *rest: Any) -> None:
    for rule in _BEFORE_DELETE:
        rule(kind, physical_id, props)
    delete(kind, physical_id, props, *rest)
