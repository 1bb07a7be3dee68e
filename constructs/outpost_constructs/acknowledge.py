"""Acknowledged findings of cdk-nag: each exact, at its resource, with a reason."""

from typing import cast

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct

_SHORTEST_REASON = 5
"""Words; less than that explains nothing."""
NAMED_AT_RUN_TIME = "Attempts, tasks, tenants' secrets, runs are named at run time: their prefix is all that is known"
KNOWS_NO_RESOURCE = "AWS knows no resource for these actions; where it knows a condition, that names what is ours"


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding of AwsSolutions on this construct and what it contains.

    Raises `ValueError` for a whole stack, and for a reason too short to be one.
    """
    if Stack.is_stack(construct):
        raise ValueError(f"{finding}: acknowledge it at the resource, not for the whole stack {construct.node.path}")
    if len(reason.split()) < _SHORTEST_REASON:
        raise ValueError(f"{finding} at {construct.node.path}: the reason {reason!r} explains nothing")
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions::AwsSolutions-{finding}", reason=reason))


def acknowledge_wildcard(grantee: iam.IGrantable, resource: str, reason: str) -> None:
    """Accept that the grantee's policy names this resource, which has a `*` in it, as cdk-nag prints it."""
    acknowledge(cast(IConstruct, grantee.grant_principal), f"IAM5[Resource::{resource}]", reason)


def printed(owner: IConstruct, attribute: str) -> str:
    """Return a resource's attribute as cdk-nag prints it in other stacks: the name that it is exported under."""
    stack = Stack.of(owner)
    return str(stack.resolve(stack.export_value(attribute))["Fn::ImportValue"])
