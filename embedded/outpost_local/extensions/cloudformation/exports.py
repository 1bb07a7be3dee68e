"""An export in use can neither change nor go, and its name belongs to one stack.

MiniStack publishes whatever the outputs say: another stack's import then keeps a value that no longer exists. AWS rolls
the update back and cancels the delete. Sources: CloudFormation User Guide, "Get exported outputs from a deployed
CloudFormation stack"; aws-cdk#7602; re:Post, "Remediating Cannot delete/update export as it is in use".
"""

from collections.abc import Callable
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from outpost_local.extensions.patch import around

_GONE = {"DELETE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"}
"""Stacks in these states have no resources, hence import nothing."""


def _resolve_outputs(resolve: Callable[..., Any], *arguments: Any) -> Any:
    outputs, exports = resolve(*arguments)
    stack_name, stack_id = arguments[-2:]
    _refuse_foreign_names(exports, stack_id)
    dropped = _refuse_changes_in_use(exports, stack_name, stack_id)
    # Nothing of the update can fail after its outputs.
    for name in dropped:
        del cloudformation._exports[name]
    return outputs, exports


def _delete_stack(delete: Callable[..., Any], params: dict[str, Any]) -> Any:
    stack = handlers._resolve_stack(handlers._p(params, "StackName"))
    for name in _exports_of(stack["StackId"]) if stack else ():
        if importers := _importers(name, stack["StackName"]):
            reason = f"Delete canceled. Cannot delete export {name} as it is in use by {importers[0]}."
            event = (stack["StackName"], "AWS::CloudFormation::Stack", stack["StackStatus"], reason)
            stacks._add_event(stack["StackId"], stack["StackName"], *event, stack["StackId"])
            return handlers._xml(200, "DeleteStackResponse", "")
    return delete(params)


def _refuse_foreign_names(exports: dict[str, Any], stack_id: str) -> None:
    for name in exports:
        owner = cloudformation._exports.get(name, {}).get("StackId", stack_id)
        if owner != stack_id:
            raise ValueError(f"Export with name {name} is already exported by stack {owner.split('/')[1]}.")


def _refuse_changes_in_use(exports: dict[str, Any], stack_name: str, stack_id: str) -> list[str]:
    """Raise ValueError for a changed or dropped export that is imported; return the dropped ones."""
    dropped = []
    for name, value in _exports_of(stack_id).items():
        new_value = exports.get(name, {}).get("Value")
        if new_value != value and (importers := _importers(name, stack_name)):
            verb = "deleted" if new_value is None else "updated"
            raise ValueError(f"Export {name} cannot be {verb} as it is in use by {', '.join(importers)}")
        if new_value is None:
            dropped.append(name)
    return dropped


def _exports_of(stack_id: str) -> dict[str, str]:
    found = cloudformation._exports.items()
    return {name: export["Value"] for name, export in found if export["StackId"] == stack_id}


def _importers(export: str, exporter: str) -> list[str]:
    return [
        name
        for name, stack in cloudformation._stacks.items()
        if name != exporter
        and stack["StackStatus"] not in _GONE
        and export in handlers._imported_export_names(stack, name)
    ]


_GAP = "an export in use can be dropped"

PATCHES = (
    around("services.cloudformation.stacks._resolve_stack_outputs", _resolve_outputs, _GAP),
    around("services.cloudformation.handlers._ACTION_HANDLERS[DeleteStack]", _delete_stack, _GAP),
)
