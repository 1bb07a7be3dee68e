"""A log group or trail is made with a key only if the key's policy lets its service use the key.

- Log groups: `logs.<region>.amazonaws.com`, whose encryption context is the group's ARN (Amazon CloudWatch Logs User
  Guide: "Encrypt log data in CloudWatch Logs using AWS Key Management Service").
- Trails: `cloudtrail.amazonaws.com`, for encryption in the context of the trail, DescribeKey, and Decrypt for a bucket
  with a Bucket Key (AWS CloudTrail User Guide: "Configure AWS KMS key policies for CloudTrail"; aws-cdk#23391).

MiniStack takes any key.
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import cloudtrail, cloudwatch_logs
from ministack.services.cloudformation import provisioners

from outpost.local.extensions.cloudformation import Created, Properties, Response
from outpost.local.extensions.key_policies import KeyUse, customer_key, service_refused

_LOGS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def install() -> None:
    """Check the key of each new log group and trail."""
    cloudwatch_logs._create_log_group = _checked_group(cloudwatch_logs._create_log_group)
    provisioners._cwlogs_create = _checked_creation(provisioners._cwlogs_create)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]
    handlers["create"] = provisioners._cwlogs_create
    handlers["update"] = _checked_update(handlers["update"])
    cloudtrail._create_trail = cloudtrail._DISPATCH["CreateTrail"] = _checked_trail(cloudtrail._create_trail)


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


def _checked_trail(create: Callable[[dict[str, Any]], Response]) -> Callable[[dict[str, Any]], Response]:
    def create_checked(request: dict[str, Any]) -> Response:
        key = customer_key(request.get("KmsKeyId") or request.get("KMSKeyId"))
        arn = cloudtrail._trail_arn(request.get("Name", ""))
        for action in ("GenerateDataKey", "DescribeKey", "Decrypt") if key else ():
            # Only encryption has an encryption context.
            context = {"aws:cloudtrail:arn": arn} if action == "GenerateDataKey" else {}
            if service_refused(KeyUse((f"kms:{action}",), str(key), "s3", context), "cloudtrail.amazonaws.com", arn):
                message = f"The policy of the KMS key does not let CloudTrail use kms:{action} for the trail {arn}."
                refused: Response = cloudtrail._err("InsufficientEncryptionPolicyException", message)
                return refused
        return create(request)

    return create_checked
