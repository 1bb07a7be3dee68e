"""The services and CloudFormation refuse the documents that `document_sizes` finds too large."""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import alb, iam, kms, lambda_svc, s3, sqs, ssm

from outpost_local.extensions.cloudformation import document_sizes, resource_checks
from outpost_local.extensions.cloudformation.document_sizes import Refusal

Call = Callable[..., Any]
Decide = Callable[..., Refusal | None]
Answer = Callable[[Refusal], Any]


def install() -> None:
    """Check in each service's call, and before CloudFormation's handlers, which do not use those calls."""
    resource_checks.before_write.append(document_sizes.refuse)
    for action, decide in _IAM.items():
        iam._IAM_HANDLERS[action] = _checked(iam._IAM_HANDLERS[action], decide, _iam_error)
    for action, what in (("CreateLoadBalancer", "The load balancer"), ("CreateTargetGroup", "The target group")):
        alb._ACTION_MAP[action] = _checked(alb._ACTION_MAP[action], _naming(what), lambda refusal: alb._error(*refusal))
    for action in ("CreateQueue", "SetQueueAttributes"):
        sqs._HANDLERS[action] = _checked(sqs._HANDLERS[action], _queue, _queue_error)
    s3._put_bucket_policy = _checked(s3._put_bucket_policy, _bucket, lambda refusal: s3._error(*refusal, 400))
    kms._create_key = _checked(kms._create_key, _key, _json_error)
    kms._put_key_policy = _checked(kms._put_key_policy, _key, _json_error)
    lambda_svc._create_function = _checked(lambda_svc._create_function, _function, _json_error)
    lambda_svc._update_config = _checked(lambda_svc._update_config, lambda _name, data: _function(data), _json_error)
    ssm._put_parameter = _checked(ssm._put_parameter, _parameter, _json_error)


def _checked(call: Call, decide: Decide, answer: Answer) -> Call:
    def checked(*arguments: Any) -> Any:
        refusal = decide(*arguments)
        return call(*arguments) if refusal is None else answer(refusal)

    return checked


def _json_error(refusal: Refusal) -> Any:
    return error_response_json(*refusal, 400)


def _iam_error(refusal: Refusal) -> Any:
    return iam._error(409, *refusal, ns="iam")


def _queue_error(refusal: Refusal) -> Any:
    raise sqs._Err(*refusal)


def _naming(what: str) -> Decide:
    return lambda params: document_sizes.name(what, alb._p(params, "Name"))


def _queue(data: dict[str, Any], _url: str) -> Refusal | None:
    return document_sizes.queue_policy((data.get("Attributes") or {}).get("Policy", ""))


def _bucket(_name: str, body: bytes) -> Refusal | None:
    return document_sizes.bucket_policy(body.decode(errors="replace"))


def _key(data: dict[str, Any]) -> Refusal | None:
    return document_sizes.key_policy(data.get("Policy") or "")


def _function(data: dict[str, Any]) -> Refusal | None:
    return document_sizes.variables((data.get("Environment") or {}).get("Variables") or {})


def _parameter(data: dict[str, Any]) -> Refusal | None:
    return document_sizes.parameter(data.get("Value", ""), data.get("Tier") or "Standard")


_IAM: dict[str, Decide] = {
    "CreateRole": lambda p: document_sizes.trust_policy(iam._p(p, "AssumeRolePolicyDocument")),
    "UpdateAssumeRolePolicy": lambda p: document_sizes.trust_policy(iam._p(p, "PolicyDocument")),
    "CreatePolicy": lambda p: document_sizes.managed_policy(iam._p(p, "PolicyDocument")),
    "CreatePolicyVersion": lambda p: document_sizes.managed_policy(iam._p(p, "PolicyDocument")),
    "PutRolePolicy": lambda p: document_sizes.inline_policies(
        iam._p(p, "RoleName"), {iam._p(p, "PolicyName"): iam._p(p, "PolicyDocument")}
    ),
}
