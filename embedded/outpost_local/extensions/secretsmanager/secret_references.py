"""A secret's Ref is its ARN (extends gap 1).

MiniStack answers the secret's name, so a policy that names `!Ref Secret`, as every grant of the CDK does, admits
nothing under enforced IAM. Its own handlers keep working with names: the ARN stands only where CloudFormation sees
it.
"""

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties

_TYPE = "AWS::SecretsManager::Secret"
_SUFFIX = len("-") + 6
"""What Secrets Manager appends to a name in the ARN."""


def install() -> None:
    """Replace the handlers by ones that answer and take ARNs."""
    names = dict(provisioners._RESOURCE_HANDLERS[_TYPE])

    def create(logical_id: str, props: Properties, stack: str) -> Created:
        _, attributes = names["create"](logical_id, props, stack)
        if not {"SecretString", "GenerateSecretString"} & set(props):
            secretsmanager._secrets[_name(attributes["Arn"])]["Versions"] = {}  # AWS creates it empty
        return attributes["Arn"], attributes

    def update(arn: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        _, attributes = names["update"](_name(arn), old, new, stack, logical_id)
        return attributes["Arn"], attributes

    def delete(arn: str, props: Properties) -> None:
        names["delete"](_name(arn), props)

    provisioners._RESOURCE_HANDLERS[_TYPE] = {
        "create": create,
        "update": update,
        "update_with_logical_id": True,
        "delete": delete,
    }


def _name(arn: str) -> str:
    return arn.rpartition(":")[2][:-_SUFFIX]
