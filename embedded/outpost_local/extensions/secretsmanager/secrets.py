"""Secrets Manager gives versions their staging labels as AWS does, and CloudFormation a secret's ARN as its Ref.

- The first version of a secret always gets AWSCURRENT, whatever labels PutSecretValue names, and a label that another
  version has moves (AWS Secrets Manager API Reference: PutSecretValue). MiniStack does neither.
- A token that a version has already is refused with another value and does nothing with the same one (same page).
- A secret without a value has no version (API Reference: CreateSecret).
- MiniStack's Ref is the secret's name, so a policy that names `!Ref Secret`, as every grant of the CDK does, admits
  nothing under enforced IAM. Its handlers keep working with names: the ARN stands only where CloudFormation sees it.
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

from outpost_local.extensions.cloudformation.handlers import Created, Properties, Response, handler, revised
from outpost_local.extensions.patch import around

Secret = dict[str, Any]
Request = dict[str, Any]

AFTER = ("cloudformation.taken_names",)

_VALUES = ("SecretString", "SecretBinary")
_SUFFIX = len("-") + 6
"""What Secrets Manager appends to a name in the ARN."""


def _create(create: Callable[[Request], Response], request: Request) -> Response:
    response = create(request)
    if response[0] != 200 or any(name in request for name in _VALUES):
        return response
    secretsmanager._secrets[request["Name"]]["Versions"] = {}
    return revised(response, lambda found: {name: found[name] for name in found if name != "VersionId"})


def _put_value(put: Callable[[Request], Response], request: Request) -> Response:
    _, secret = secretsmanager._resolve(request.get("SecretId"))
    if not secret:
        return put(request)
    earlier = secret["Versions"].get(request.get("ClientRequestToken"))
    if earlier:
        return _repeated(request, secret, earlier)
    labels = request.get("VersionStages") or ["AWSCURRENT"]
    if not _has_current(secret) and "AWSCURRENT" not in labels:
        labels = ["AWSCURRENT", *labels]

    def move_labels(found: dict[str, Any]) -> dict[str, Any]:
        for label in labels:
            secretsmanager._remove_stage_everywhere(secret, label, found["VersionId"])
            secretsmanager._add_stage(secret, found["VersionId"], label)
        return found | {"VersionStages": secret["Versions"][found["VersionId"]]["Stages"]}

    return revised(put(request | {"VersionStages": labels}), move_labels)


def _has_current(secret: Secret) -> bool:
    return any("AWSCURRENT" in version["Stages"] for version in secret["Versions"].values())


def _repeated(request: Request, secret: Secret, earlier: dict[str, Any]) -> Response:
    token = request["ClientRequestToken"]
    if any(request.get(name) != earlier.get(name) for name in _VALUES):
        message = f"You can't modify an existing version, you can only create a new version: {token}"
        return error_response_json("ResourceExistsException", message, 400)  # type: ignore[no-any-return]
    found = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": earlier["Stages"]}
    return json_response(found)  # type: ignore[no-any-return]


def _create_resource(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    _, attributes = create(logical_id, props, stack)
    if not {"SecretString", "GenerateSecretString"} & set(props):
        secretsmanager._secrets[_name(attributes["Arn"])]["Versions"] = {}  # AWS creates it empty
    return attributes["Arn"], attributes


def _update_resource(update: Callable[..., Created], arn: str, *rest: Any) -> Created:
    _, attributes = update(_name(arn), *rest)
    return attributes["Arn"], attributes


def _name(arn: str) -> str:
    return arn.rpartition(":")[2][:-_SUFFIX]


_KIND, _REF = "AWS::SecretsManager::Secret", "a secret's Ref is its name"

PATCHES = (
    around("services.secretsmanager._create_secret", _create, "a secret without a value has a version"),
    around("services.secretsmanager._put_secret_value", _put_value, "labels of secrets do not move"),
    around(handler(_KIND, "create"), _create_resource, _REF),
    around(handler(_KIND, "update"), _update_resource, _REF),
    around(handler(_KIND, "delete"), lambda delete, arn, props: delete(_name(arn), props), _REF),
)
