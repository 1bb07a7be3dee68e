"""Encrypted data needs the permission for its key: MiniStack encrypts nothing and asks for none.

On AWS a service calls KMS on behalf of the caller, who must be allowed to use the customer key of the table, queue,
topic, bucket or secret; a service that delivers something on its own must be allowed by the key policy; a function
that is called for a stream's or queue's records must be able to read them. The refusals have the codes that the
services document: KMS.AccessDeniedException (Amazon SQS API Reference: SendMessage), KMSAccessDenied (Amazon SNS API
Reference: Publish), AccessDeniedException (Amazon DynamoDB, AWS Secrets Manager) and AccessDenied (Amazon S3).

Services that deliver on their own, and functions, need the permission for the key as well.

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
from contextvars import ContextVar
from typing import Any, NamedTuple

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, request_scope
from ministack.services import lambda_svc

from outpost_local.extensions.kms.keys import READ, KeyUse, customer_key, key_use, refused_action, role, service_refused
from outpost_local.extensions.patch import around

AFTER = ("iam.requests",)

_CODES = {"sqs": "KMS.AccessDeniedException", "sns": "KMSAccessDenied"}


class _Refusal(NamedTuple):
    use: KeyUse
    action: str


_refusal: ContextVar[_Refusal | None] = ContextVar("_refusal", default=None)


def _enforce(
    enforce: Callable[..., Any],
    access_key: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Ask for the key after each call that is allowed otherwise."""
    denied = enforce(access_key, iam_action, service, region, resource_arn, service_context)
    _refusal.set(None)
    use = None if denied else key_use(iam_action, resource_arn)
    if use is None or not access_key:
        return denied
    principal = iam_evaluator.resolve_principal(access_key, get_account_id())
    refused = None if isinstance(principal, iam_evaluator.AuthError) else refused_action(use, principal)
    if refused is None:
        return None
    _refusal.set(_Refusal(use, refused))
    return iam_evaluator.EvalResult("ImplicitDeny", principal.arn)


def _respond(respond: Callable[..., Any], service: str, action: str, principal: str, *rest: Any, **options: Any) -> Any:
    """Return the response of a refusal, which names the key if the key was refused."""
    refusal = _refusal.get()
    if refusal is None:
        return respond(service, action, principal, *rest, **options)
    key, refused = refusal.use.key, refusal.action
    because = f"because no identity-based policy and no key policy allows the {refused} action"
    message = f"User: {principal} is not authorized to perform: {refused} on resource: {key} {because}"
    options |= {"message": message, "error_code": _CODES.get(service, ""), "resource_arn": key}
    return respond(service, refused, principal, *rest, **options)


_CALL_GAP = "encrypted data is read without the key"


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


_DELIVERY_GAP = "encrypted data is delivered without the key"


PATCHES = (
    around("core.iam_evaluator.enforce", _enforce, _CALL_GAP),
    around("core.iam_actions.access_denied_response", _respond, _CALL_GAP),
    around("services.eventbridge._invoke_target", _invoke_target, _DELIVERY_GAP),
    around("services.cloudwatch._dispatch_alarm_actions", _dispatch_alarm, _DELIVERY_GAP),
    around("services.sns._deliver_to_sqs", _deliver_from_topic, _DELIVERY_GAP),
    around("services.lambda_svc._iter_all_esms", _readable_mappings, _DELIVERY_GAP),
    around("services.lambda_svc._execute_function", _execute, _DELIVERY_GAP),
)
