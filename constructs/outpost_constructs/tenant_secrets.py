"""The secrets that tenants bring along: made at run time by the control plane, under one prefix."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from outpost.config import EnvironmentConfig
from outpost.names import tenant_secrets_prefix
from outpost_constructs.acknowledge import acknowledge_wildcard


def grant_manage_tenant_secrets(scope: IConstruct, role: iam.IRole, config: EnvironmentConfig) -> None:
    """Let the role make, replace and delete tenants' secrets of this environment; it can read none of them."""
    secrets = Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{tenant_secrets_prefix(config.name)}*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    iam.Grant.add_to_principal(
        grantee=role,
        actions=["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret"],
        resource_arns=[secrets],
    )
    acknowledge_wildcard(role, secrets, "Tenants add secrets at run time: their common prefix is the narrowest name")
