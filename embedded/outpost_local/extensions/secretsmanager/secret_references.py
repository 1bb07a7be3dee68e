"""A secret's Ref is its ARN.

MiniStack returns the secret's name, so a policy that names `!Ref Secret`, as every grant of the CDK does, admits
nothing under enforced IAM. Its own handlers keep working with names: the ARN stands only where CloudFormation sees
it.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import secretsmanager

from outpost_local.extensions.cloudformation.handlers import Created, Properties, handler
from outpost_local.extensions.patch import around

_SUFFIX = len("-") + 6
"""What Secrets Manager appends to a name in the ARN."""


def _create(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    _, attributes = create(logical_id, props, stack)
    if not {"SecretString", "GenerateSecretString"} & set(props):
        secretsmanager._secrets[_name(attributes["Arn"])]["Versions"] = {}  # AWS creates it empty
    return attributes["Arn"], attributes


def _update(update: Callable[..., Created], arn: str, *rest: Any) -> Created:
    _, attributes = update(_name(arn), *rest)
    return attributes["Arn"], attributes


def _delete(delete: Callable[..., None], arn: str, props: Properties) -> None:
    delete(_name(arn), props)


def _name(arn: str) -> str:
    return arn.rpartition(":")[2][:-_SUFFIX]


_KIND, _GAP = "AWS::SecretsManager::Secret", "a secret's Ref is its name"

PATCHES = (
    around(handler(_KIND, "create"), _create, _GAP),
    around(handler(_KIND, "update"), _update, _GAP),
    around(handler(_KIND, "delete"), _delete, _GAP),
)
