"""The secrets that tenants bring along: made at run time by the control plane, under one prefix."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from outpost.names import Env, tenant_secrets_prefix
from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.nag_suppressions import acknowledge_wildcard
from outpost_constructs.permissions import allow
from outpost_constructs.stack import config_of


def tenant_secrets_arn(scope: IConstruct) -> str:
    """Return the pattern of the ARNs of this environment's tenants' secrets."""
    return Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{tenant_secrets_prefix(config_of(scope).name)}*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def tenant_secrets_environment(scope: IConstruct) -> dict[str, str]:
    """Return the variable that names the key of tenants' secrets; none where AWS holds the keys."""
    key = key_of(scope)
    return {Env.KEY: key.key_arn} if key else {}


def grant_manage_tenant_secrets(role: iam.IRole) -> None:
    """Let the role make, replace and delete tenants' secrets of this environment; it can read none of them."""
    secrets = tenant_secrets_arn(role)
    actions = ("CreateSecret", "PutSecretValue", "DeleteSecret")
    allow(role, *(f"secretsmanager:{action}" for action in actions), on=[secrets])
    grant_key(key_of(role), role, "secretsmanager", USE_DATA_KEYS)
    acknowledge_wildcard(role, secrets, "Tenants add secrets at run time: their common prefix is the narrowest name")
