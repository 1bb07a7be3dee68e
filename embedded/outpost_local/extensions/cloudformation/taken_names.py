"""A name that exists is not taken over: the create fails, as a retried deployment would meet its own orphans on AWS.

Most of MiniStack's create handlers overwrite or adopt what has the name. The types here are those whose service
refuses a second one, or whose CloudFormation handler looks before it creates (its schema's create permissions include
the read: CloudWatch's Put calls would overwrite). A failed stack keeps its own name too, until it is deleted. Sources:
the registry's schemas (`handlers.create`); CloudFormation API Reference, CreateStack and CreateChangeSet; SQS API
Reference, CreateQueue (60 seconds); Secrets Manager API Reference, CreateSecret.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import (
    backup,
    cloudtrail,
    cloudwatch,
    dynamodb,
    eventbridge,
    iam,
    lambda_svc,
    s3,
    secretsmanager,
    sns,
    sqs,
)
from ministack.services.cloudformation import handlers

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import around
from outpost_ops.aws_rules.resource_schemas import custom_name

_QUEUE_SECONDS = 60.0
_deleted_queues: dict[str, float] = {}
"""When, on the monotonic clock, a queue of the name was last deleted."""

_TAKEN: dict[str, Callable[[], Collection[str]]] = {
    "AWS::Backup::BackupVault": lambda: backup._vaults,
    "AWS::CloudTrail::Trail": lambda: cloudtrail._trails,
    "AWS::CloudWatch::Alarm": lambda: cloudwatch._alarms,
    "AWS::CloudWatch::CompositeAlarm": lambda: cloudwatch._composite_alarms,
    "AWS::CloudWatch::Dashboard": lambda: cloudwatch._dashboards,
    "AWS::DynamoDB::Table": lambda: dynamodb._tables,
    "AWS::Events::Rule": lambda: {rule["Name"] for rule in eventbridge._rules.values()},
    "AWS::IAM::InstanceProfile": lambda: iam._instance_profiles,
    "AWS::IAM::Role": lambda: iam._roles,
    "AWS::Lambda::Function": lambda: lambda_svc._functions,
    "AWS::S3::Bucket": lambda: s3._buckets,
    "AWS::SNS::Topic": lambda: {arn.rpartition(":")[2] for arn in sns._topics},
    "AWS::SQS::Queue": lambda: sqs._queue_name_to_url,
    "AWS::SecretsManager::Secret": lambda: secretsmanager._secrets,
}
"""The names in use, by resource type; log groups have `log_groups`."""


def refuse_taken_name(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError when the template names what exists already."""
    if kind == "AWS::S3::BucketPolicy" and props.get("Bucket") in s3._bucket_policies:
        raise ValueError(f"The bucket policy already exists on bucket {props['Bucket']}.")
    name = props.get(custom_name(kind) or "")
    if not name or kind not in _TAKEN:
        return
    if kind == "AWS::SecretsManager::Secret" and (reason := _scheduled_secret(name)):
        raise ValueError(reason)
    if kind == "AWS::SQS::Queue" and (reason := _recent_queue(name)):
        raise ValueError(reason)
    if name in _TAKEN[kind]():
        raise ValueError(f"Resource of type '{kind}' with identifier '{name}' already exists.")


def _scheduled_secret(name: str) -> str | None:
    if secretsmanager._secrets.get(name, {}).get("DeletedDate"):
        return "You can't create this secret because a secret with this name is already scheduled for deletion."
    return None


def _recent_queue(name: str) -> str | None:
    if time.monotonic() - _deleted_queues.get(name, -_QUEUE_SECONDS) < _QUEUE_SECONDS:
        return "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    return None


def remember_queue(kind: str, physical_id: str, _props: Properties) -> None:
    """Remember when a stack deleted a queue."""
    if kind == "AWS::SQS::Queue":
        _deleted_queues[physical_id.rpartition("/")[2]] = time.monotonic()


def _create_secret(create: Callable[..., Any], data: dict[str, Any]) -> Any:
    if reason := _scheduled_secret(data.get("Name", "")):
        return error_response_json("InvalidRequestException", reason, 400)
    return create(data)


def _create_queue(create: Callable[..., Any], data: dict[str, Any], url: str) -> Any:
    if reason := _recent_queue(data.get("QueueName", "")):
        raise sqs._Err("AWS.SimpleQueueService.QueueDeletedRecently", reason)
    return create(data, url)


def _delete_queue(delete: Callable[..., Any], data: dict[str, Any], url: str) -> Any:
    _deleted_queues[data.get("QueueUrl", url).rpartition("/")[2]] = time.monotonic()
    return delete(data, url)


def _of_failed_stack(handle: Callable[..., Any], params: dict[str, Any]) -> Any:
    """Refuse to create or change a stack that failed."""
    stack = handlers._resolve_stack(handlers._p(params, "StackName"))
    if stack is None or stack["StackStatus"] != "ROLLBACK_COMPLETE":
        return handle(params)
    if handlers._p(params, "Action") == "CreateStack":
        return handlers._error("AlreadyExistsException", f"Stack [{stack['StackName']}] already exists")
    reason = f"Stack:{stack['StackId']} is in ROLLBACK_COMPLETE state and can not be updated."
    return handlers._error("ValidationError", reason)


_GAP, _STACK = "a name that exists is taken over", "a failed stack can be updated"

PATCHES = (
    around("services.secretsmanager._create_secret", _create_secret, _GAP),
    around("services.sqs._HANDLERS[CreateQueue]", _create_queue, _GAP),
    around("services.sqs._HANDLERS[DeleteQueue]", _delete_queue, _GAP),
    *(
        around(f"services.cloudformation.handlers._ACTION_HANDLERS[{action}]", _of_failed_stack, _STACK)
        for action in ("CreateStack", "CreateChangeSet")
    ),
)
