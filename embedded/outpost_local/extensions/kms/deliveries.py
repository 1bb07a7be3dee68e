"""Services that deliver on their own, and functions, need the permission for the key as well.

- EventBridge, CloudWatch and SNS deliver to an encrypted queue or topic only if its key policy lets their service
  principals encrypt (Amazon SQS and Amazon SNS Developer Guides: "Key management", "Enable compatibility between event
  sources from AWS services and encrypted topics").
- A function gets no records of an encrypted table's stream or queue unless its role may decrypt (AWS Lambda Developer
  Guide: "Using AWS Lambda with Amazon DynamoDB"; aws-cdk#22796), and does not start without the permission for the key
  of its environment ("Using Lambda environment variables": "Securing environment variables").

MiniStack encrypts nothing and delivers all. A refused delivery is logged; AWS shows it in metrics only.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import lambda_svc

from outpost_local.extensions.kms.encrypted_resources import READ, key_use
from outpost_local.extensions.kms.policies import KeyUse, customer_key, refused_action, role, service_refused
from outpost_local.extensions.patch import around

logger = logging.getLogger("outpost.iam")

Mappings = Iterator[tuple[str, str, dict[str, Any]]]

_DELIVERIES = {"sqs": "sqs:SendMessage", "sns": "sns:Publish"}
_READS = {"sqs": "sqs:ReceiveMessage", "dynamodb": "dynamodb:GetRecords"}


def delivery_allowed(service: str, target: str, source: str) -> bool:
    """Return whether a service may deliver to a queue or topic on behalf of a rule, an alarm or a topic."""
    action = _DELIVERIES.get((target.split(":") + [""] * 3)[2])
    use = key_use(action, target) if action else None
    refused = service_refused(use, service, source) if use else None
    if refused:
        logger.warning("%s may not deliver to %s for %s: no %s", service, target, source, refused)
    return not refused


def _invoke_target(
    invoke: Callable[..., None], target: dict[str, Any], event: Any, rule: dict[str, Any], *rest: Any
) -> None:
    if delivery_allowed("events.amazonaws.com", target.get("Arn", ""), rule.get("Arn", "")):
        invoke(target, event, rule, *rest)


def _dispatch_alarm(dispatch: Callable[..., None], alarm: dict[str, Any], *rest: Any) -> None:
    source = alarm.get("AlarmArn", "")
    allowed = {
        name: [arn for arn in alarm.get(name) or [] if delivery_allowed("cloudwatch.amazonaws.com", arn, source)]
        for name in ("AlarmActions", "OKActions", "InsufficientDataActions")
    }
    dispatch({**alarm, **allowed}, *rest)


def _deliver_from_topic(
    deliver: Callable[..., None], endpoint: str, *rest: Any, topic_arn: str = "", **options: Any
) -> None:
    if delivery_allowed("sns.amazonaws.com", endpoint, topic_arn):
        deliver(endpoint, *rest, topic_arn=topic_arn, **options)


def _readable_mappings(mappings: Callable[[], Mappings]) -> Mappings:
    """Yield the event source mappings whose functions may decrypt what they read."""
    for account, region, mapping in mappings():
        with request_scope(account, region):
            refused = _mapping_refused(mapping)
        if refused:
            mapping["LastProcessingResult"] = f"PROBLEM: the function's role needs {refused} for the source's key"
        else:
            yield account, region, mapping


def _mapping_refused(mapping: dict[str, Any]) -> str | None:
    source = mapping.get("EventSourceArn", "")
    action = _READS.get((source.split(":") + [""] * 3)[2])
    use = key_use(action, source) if action else None
    _, config = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], None) if use else (None, None)
    return refused_action(use, role(config["Role"])) if use and config else None


def _execute(execute: Callable[..., dict[str, Any]], function: dict[str, Any], event: Any) -> dict[str, Any]:
    """Invoke a function, which fails without the key of its environment."""
    config = function.get("config") or function
    key = customer_key(config.get("KMSKeyArn"))
    context = {"aws:lambda:FunctionArn": config.get("FunctionArn", "")}
    refused = refused_action(KeyUse(READ, key, "lambda", context), role(config["Role"])) if key else None
    if refused is None:
        return execute(function, event)
    message = "Lambda was unable to decrypt the environment variables because KMS access was denied."
    return {"error": True, "body": {"errorType": "KMSAccessDeniedException", "errorMessage": message}}


_GAP = "encrypted data is delivered without the key"

PATCHES = (
    around("services.eventbridge._invoke_target", _invoke_target, _GAP),
    around("services.cloudwatch._dispatch_alarm_actions", _dispatch_alarm, _GAP),
    around("services.sns._deliver_to_sqs", _deliver_from_topic, _GAP),
    around("services.lambda_svc._iter_all_esms", _readable_mappings, _GAP),
    around("services.lambda_svc._execute_function", _execute, _GAP),
)
