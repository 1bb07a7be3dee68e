"""Secrets Manager gives versions their staging labels as AWS does.

- The first version of a secret always gets AWSCURRENT, whatever labels PutSecretValue names, and a label that another
  version has moves (AWS Secrets Manager API Reference: PutSecretValue). MiniStack does neither.
- A token that a version has already is refused with another value and does nothing with the same one (same page).
- A secret without a value has no version (API Reference: CreateSecret).
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import around

Secret = dict[str, Any]
Request = dict[str, Any]

AFTER = ("cloudformation.taken_names",)

_VALUES = ("SecretString", "SecretBinary")


def _create(create: Callable[[Request], Response], request: Request) -> Response:
    status, headers, body = create(request)
    if status != 200 or any(name in request for name in _VALUES):
        return status, headers, body
    secretsmanager._secrets[request["Name"]]["Versions"] = {}
    found = {name: value for name, value in json.loads(body).items() if name != "VersionId"}
    return json_response(found)  # type: ignore[no-any-return]


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
    status, headers, body = put(request | {"VersionStages": labels})
    if status != 200:
        return status, headers, body
    found = json.loads(body)
    for label in labels:
        secretsmanager._remove_stage_everywhere(secret, label, found["VersionId"])
        secretsmanager._add_stage(secret, found["VersionId"], label)
    return json_response(found | {"VersionStages": secret["Versions"][found["VersionId"]]["Stages"]})  # type: ignore[no-any-return]


def _has_current(secret: Secret) -> bool:
    return any("AWSCURRENT" in version["Stages"] for version in secret["Versions"].values())


def _repeated(request: Request, secret: Secret, earlier: dict[str, Any]) -> Response:
    token = request["ClientRequestToken"]
    if any(request.get(name) != earlier.get(name) for name in _VALUES):
        message = f"You can't modify an existing version, you can only create a new version: {token}"
        return error_response_json("ResourceExistsException", message, 400)  # type: ignore[no-any-return]
    found = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": earlier["Stages"]}
    return json_response(found)  # type: ignore[no-any-return]


PATCHES = (
    around("services.secretsmanager._create_secret", _create, "a secret without a value has a version"),
    around("services.secretsmanager._put_secret_value", _put_value, "labels of secrets do not move"),
)
