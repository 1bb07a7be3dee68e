"""Statements in the policies of roles."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_iam as iam

Conditions = Mapping[str, Mapping[str, str | list[str]]]


def allow(grantee: iam.IGrantable, *actions: str, on: Sequence[str], when: Conditions | None = None) -> iam.Grant:
    """Allow actions on the resources with these ARNs, under conditions."""
    return iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=list(on), conditions=when)
