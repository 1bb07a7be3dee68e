"""Documents that are too large are refused: policies, a function's variables, standard parameters, long names.

By each service's call, and by CloudFormation, whose handlers do not use those calls. MiniStack stores what it gets. IAM
counts no white space and adds up the inline policies of a role; the other services count bytes. Sources: IAM User
Guide, "IAM and AWS STS quotas" (2,048, 6,144 and 10,240 characters); S3 User Guide, "Bucket policies" (20 KB); KMS
Developer Guide, "Resource quotas" (32 KB); SQS Developer Guide, "Policy quotas" (8,192 bytes); Lambda Developer Guide,
"Quotas" (4 KB for all variables of a function); Systems Manager, "Parameter tiers" (4 KB); ELB API Reference,
CreateLoadBalancer and CreateTargetGroup (32 characters).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ministack.core.responses import error_response_json
from ministack.services import alb, iam, s3, sqs

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import Patch, around

AFTER = ("cloudformation.taken_names",)

_LIMITS = {
    "bucket policy": (20_480, "MalformedPolicy", "Policy exceeds the maximum allowed document size."),
    "inline policies": (10_240, "LimitExceeded", "Maximum policy size of {most} bytes exceeded for role {role}"),
    "key policy": (32_768, "LimitExceededException", "The key policy exceeds the maximum of {most} bytes"),
    "managed policy": (6_144, "LimitExceeded", "Cannot exceed quota for PolicySize: {most}"),
    "name": (32, "ValidationError", "{what} name '{name}' cannot be longer than '{most}' characters"),
    "parameter": (
        4_096,
        "ValidationException",
        "Standard tier parameters support a maximum parameter value of {most} characters. To create a larger parameter "
        "value, upgrade the parameter to use the advanced tier.",
    ),
    "queue policy": (8_192, "OverLimit", "The policy of a queue has at most {most} bytes"),
    "trust policy": (2_048, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: {most}"),
    "variables": (
        4_096,
        "InvalidParameterValueException",
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "exceeded the 4KB limit. String measured: {measured}...",
    ),
}
"""The most bytes or characters of each document, and the service's error code and message."""


class Refusal(NamedTuple):
    """The service's error."""

    code: str
    message: str


Decide = Callable[..., Refusal | None]
Respond = Callable[[Refusal], Any]


def text(document: Any) -> str:
    """Return a document in its shortest form, as CloudFormation sends it."""
    try:
        parsed = json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return str(document)
    return json.dumps(parsed, separators=(",", ":"))


def _refusal(limit: str, size: int, **members: str) -> Refusal | None:
    most, code, message = _LIMITS[limit]
    return Refusal(code, message.format(most=most, **members)) if size > most else None


def _bytes(document: Any) -> int:
    return len(text(document).encode())


def _counted_by_iam(document: Any) -> int:
    return len(re.sub(r"\s", "", text(document)))


def _policy(limit: str, size: Callable[[Any], int]) -> Callable[[Any], Refusal | None]:
    return lambda document: _refusal(limit, size(document))


_bucket_policy, _key_policy, _queue_policy = (_policy(f"{of} policy", _bytes) for of in ("bucket", "key", "queue"))
_managed_policy, _trust_policy = (_policy(f"{of} policy", _counted_by_iam) for of in ("managed", "trust"))


def _inline_policies(role: str, changed: Mapping[str, Any]) -> Refusal | None:
    """Refuse inline policies, by name, that are too large with those of the role that they do not replace."""
    documents = {**(iam._roles.get(role) or {}).get("InlinePolicies", {}), **changed}
    return _refusal("inline policies", sum(map(_counted_by_iam, documents.values())), role=role)


def _variables(values: Mapping[str, Any]) -> Refusal | None:
    measured = text(dict(values))
    return _refusal("variables", len(measured.encode()), measured=measured[:80])


def _parameter(value: Any, tier: str) -> Refusal | None:
    return _refusal("parameter", len(str(value).encode())) if tier == "Standard" else None


def _name(what: str, name: str) -> Refusal | None:
    return _refusal("name", len(name), what=what, name=name)


def refuse(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError for the properties of a resource with a document that is too large."""
    for refusal in _RULES[kind](props) if kind in _RULES else ():
        if refusal is not None:
            raise ValueError(f"{refusal.message} (Error Code: {refusal.code})")


def _role(props: Properties) -> list[Refusal | None]:
    own = {policy["PolicyName"]: policy["PolicyDocument"] for policy in props.get("Policies") or ()}
    return [_trust_policy(props["AssumeRolePolicyDocument"]), _inline_policies(props.get("RoleName", ""), own)]


_RULES: dict[str, Callable[[Properties], list[Refusal | None]]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": lambda p: [_name("The load balancer", p.get("Name", ""))],
    "AWS::ElasticLoadBalancingV2::TargetGroup": lambda p: [_name("The target group", p.get("Name", ""))],
    "AWS::IAM::ManagedPolicy": lambda p: [_managed_policy(p["PolicyDocument"])],
    "AWS::IAM::Policy": lambda p: [
        _inline_policies(role, {p["PolicyName"]: p["PolicyDocument"]}) for role in p.get("Roles") or ()
    ],
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": lambda p: [_key_policy(p["KeyPolicy"])] if "KeyPolicy" in p else [],
    "AWS::Lambda::Function": lambda p: [_variables(p.get("Environment", {}).get("Variables", {}))],
    "AWS::S3::BucketPolicy": lambda p: [_bucket_policy(p["PolicyDocument"])],
    "AWS::SQS::QueuePolicy": lambda p: [_queue_policy(p["PolicyDocument"])],
}


def _checked(target: str, decide: Decide, respond: Respond) -> Patch:
    def check(call: Callable[..., Any], *arguments: Any) -> Any:
        refusal = decide(*arguments)
        return call(*arguments) if refusal is None else respond(refusal)

    return around(f"services.{target}", check, "a role's policies may have any size")


def _json_error(refusal: Refusal) -> Any:
    return error_response_json(*refusal, 400)


def _iam_error(refusal: Refusal) -> Any:
    return iam._error(409, *refusal, ns="iam")


def _alb_error(refusal: Refusal) -> Any:
    return alb._error(*refusal)


def _queue_error(refusal: Refusal) -> Any:
    raise sqs._Err(*refusal)


def _of_function(data: dict[str, Any]) -> Refusal | None:
    return _variables((data.get("Environment") or {}).get("Variables") or {})


def _of_queue(data: dict[str, Any], _url: str) -> Refusal | None:
    return _queue_policy((data.get("Attributes") or {}).get("Policy", ""))


def _of_key(data: dict[str, Any]) -> Refusal | None:
    return _key_policy(data.get("Policy") or "")


_CALLS: dict[str, tuple[Decide, Respond]] = {
    "iam._IAM_HANDLERS[CreateRole]": (lambda p: _trust_policy(iam._p(p, "AssumeRolePolicyDocument")), _iam_error),
    "iam._IAM_HANDLERS[UpdateAssumeRolePolicy]": (lambda p: _trust_policy(iam._p(p, "PolicyDocument")), _iam_error),
    "iam._IAM_HANDLERS[CreatePolicy]": (lambda p: _managed_policy(iam._p(p, "PolicyDocument")), _iam_error),
    "iam._IAM_HANDLERS[CreatePolicyVersion]": (lambda p: _managed_policy(iam._p(p, "PolicyDocument")), _iam_error),
    "iam._IAM_HANDLERS[PutRolePolicy]": (
        lambda p: _inline_policies(iam._p(p, "RoleName"), {iam._p(p, "PolicyName"): iam._p(p, "PolicyDocument")}),
        _iam_error,
    ),
    "alb._ACTION_MAP[CreateLoadBalancer]": (lambda p: _name("The load balancer", alb._p(p, "Name")), _alb_error),
    "alb._ACTION_MAP[CreateTargetGroup]": (lambda p: _name("The target group", alb._p(p, "Name")), _alb_error),
    "s3._put_bucket_policy": (
        lambda _name, body: _bucket_policy(body.decode(errors="replace")),
        lambda refusal: s3._error(*refusal, 400),
    ),
    "sqs._HANDLERS[CreateQueue]": (_of_queue, _queue_error),
    "sqs._HANDLERS[SetQueueAttributes]": (_of_queue, _queue_error),
    "kms._create_key": (_of_key, _json_error),
    "kms._put_key_policy": (_of_key, _json_error),
    "lambda_svc._create_function": (_of_function, _json_error),
    "lambda_svc._update_config": (lambda _name, data: _of_function(data), _json_error),
    "ssm._put_parameter": (lambda p: _parameter(p.get("Value", ""), p.get("Tier") or "Standard"), _json_error),
}
"""What decides on the arguments of a call, and how the service says no."""

PATCHES = tuple(_checked(target, decide, respond) for target, (decide, respond) in _CALLS.items())
