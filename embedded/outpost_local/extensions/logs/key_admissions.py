"""A log group has a key only if the key's policy lets CloudWatch Logs use it: MiniStack takes any key.

The principal is `logs.<region>.amazonaws.com`, the encryption context the group's ARN (Amazon CloudWatch Logs User
Guide: "Encrypt log data in CloudWatch Logs using AWS Key Management Service").
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region

from outpost_local.extensions.cloudformation.handlers import Created, Properties, handler
from outpost_local.extensions.kms.policies import KeyUse, customer_key, service_refused
from outpost_local.extensions.patch import around

AFTER = ("logs.log_groups",)

_LOGS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def _group_problem(name: str | None, key: str | None) -> str | None:
    arn = customer_key(key)
    if arn is None:
        return None
    group = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{name}"
    actions = tuple(f"kms:{action}" for action in _LOGS)
    use = KeyUse(actions, arn, "logs", {"aws:logs:arn": group})
    refused = service_refused(use, f"logs.{get_region()}.amazonaws.com", group)
    if refused is None:
        return None
    message = f"The specified KMS key does not exist or is not allowed to be used with Arn '{group}'"
    return f"{message}: its policy does not allow {refused}"


def _create_group(create: Callable[..., Any], request: dict[str, Any]) -> Any:
    if problem := _group_problem(request.get("logGroupName"), request.get("kmsKeyId")):
        return error_response_json("InvalidParameterException", problem, 400)
    return create(request)


def _create(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    if problem := _group_problem(props.get("LogGroupName") or f"{stack}-{logical_id}", props.get("KmsKeyId")):
        raise ValueError(problem)
    return create(logical_id, props, stack)


def _update(update: Callable[..., Created], name: str, old: Properties, new: Properties, *rest: Any) -> Created:
    if problem := _group_problem(name, new.get("KmsKeyId")):
        raise ValueError(problem)
    return update(name, old, new, *rest)


_KIND, _GAP = "AWS::Logs::LogGroup", "a log group takes any key"

PATCHES = (
    around("services.cloudwatch_logs._create_log_group", _create_group, _GAP),
    around("services.cloudformation.provisioners._cwlogs_create", _create, _GAP, handler(_KIND, "create")),
    around(handler(_KIND, "update"), _update, _GAP),
)
