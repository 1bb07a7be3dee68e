"""Acknowledged findings of cdk-nag: each exact, at its resource, with a reason and an end."""

from datetime import date, timedelta
from typing import cast

from aws_cdk import Acknowledgment, Stack, Stage, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from outpost_constructs.stack import OutpostStack

_SHORTEST_REASON = 5
"""Words; less than that explains nothing."""
REVIEWED = date(2026, 11, 22)
"""When somebody last read every acknowledgement. Read them all again before moving it."""
_UNTIL = " (until "
_YEAR = timedelta(days=366)
NAMED_AT_RUN_TIME = "Attempts, tasks, tenants' secrets, runs are named at run time: their prefix is all that is known"
KNOWS_NO_RESOURCE = "AWS knows no resource for these actions; where it knows a condition, that names what is ours"


def acknowledge(construct: IConstruct, finding: str, reason: str, *, until: date = REVIEWED + _YEAR) -> None:
    """Accept one finding of AwsSolutions on this construct and what it contains, until that day.

    An acknowledgement past its end fails `make nag`, not a deployment. Raises `ValueError`
    for a whole stack, for a reason too short to be one, and for more than a year after the last review.
    """
    if Stack.is_stack(construct) or Stage.is_stage(construct):
        raise ValueError(f"{finding}: acknowledge it at the resource, not for the whole stack {construct.node.path}")
    if len(reason.split()) < _SHORTEST_REASON:
        raise ValueError(f"{finding} at {construct.node.path}: the reason {reason!r} explains nothing")
    if until > REVIEWED + _YEAR:
        raise ValueError(f"{finding} at {construct.node.path}: {until} is more than a year after the last review")
    acknowledgment = Acknowledgment(id=f"AwsSolutions::AwsSolutions-{finding}", reason=f"{reason}{_UNTIL}{until})")
    Validations.of(construct).acknowledge(acknowledgment)


def end_of(printed_reason: str) -> date:
    """Return the day until which an acknowledgement holds, from its reason as reports print it."""
    return date.fromisoformat(printed_reason.rpartition(_UNTIL)[2].removesuffix(")"))


def reason_of(printed_reason: str) -> str:
    """Return the reason alone, from its reason as reports print it."""
    return printed_reason.rpartition(_UNTIL)[0]


def acknowledge_wildcard(grantee: iam.IGrantable, resource: str, reason: str) -> None:
    """Accept that the grantee's policy names this resource, which has a `*` in it, as cdk-nag prints it."""
    acknowledge(cast(IConstruct, grantee.grant_principal), f"IAM5[Resource::{resource}]", reason)


def printed(owner: IConstruct, attribute: str) -> str:
    """Return a resource's attribute as cdk-nag prints it in other stacks: the parameter by which they read it."""
    stack = Stack.of(owner)
    assert isinstance(stack, OutpostStack)  # noqa: S101 - every stack of ours is one
    return f"<{stack.reference_id(attribute)}>"
