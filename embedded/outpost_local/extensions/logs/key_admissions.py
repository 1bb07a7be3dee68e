"""A log group has a key only if the key's policy lets CloudWatch Logs use it: MiniStack takes any key.

The principal is `logs.<region>.amazonaws.com`, the encryption context the group's ARN (Amazon CloudWatch Logs User
Guide: "Encrypt log data in CloudWatch Logs using AWS Key Management Service").
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import cloudwatch_logs
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, Response
from outpost_local.extensions.kms.policies import KeyUse, customer_key, service_refused

_LOGS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def install() -> None:
    """Check the key of each log group."""
    cloudwatch_logs._create_log_group = _checked_group(cloudwatch_logs._create_log_group)
    provisioners._cwlogs_create = _checked_creation(provisioners._cwlogs_create)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]
    handlers["create"] = provisioners._cwlogs_create
    handlers["update"] = _checked_update(handlers["update"])


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


def _checked_group(create: Callable[[dict[str, Any]], Response]) -> Callable[[dict[str, Any]], Response]:
    def create_checked(request: dict[str, Any]) -> Response:
        problem = _group_problem(request.get("logGroupName"), request.get("kmsKeyId"))
        response: Response = (
            error_response_json("InvalidParameterException", problem, 400) if problem else create(request)
        )
        return response

    return create_checked


def _checked_creation(create: Callable[[str, Properties, str], Created]) -> Callable[[str, Properties, str], Created]:
    def create_checked(logical_id: str, props: Properties, stack: str) -> Created:
        if problem := _group_problem(props.get("LogGroupName") or f"{stack}-{logical_id}", props.get("KmsKeyId")):
            raise ValueError(problem)
        return create(logical_id, props, stack)

    return create_checked


def _checked_update(update: Callable[..., Created]) -> Callable[..., Created]:
    def update_checked(name: str, old: Properties, new: Properties, *rest: Any) -> Created:
        if problem := _group_problem(name, new.get("KmsKeyId")):
            raise ValueError(problem)
        return update(name, old, new, *rest)

    return update_checked
