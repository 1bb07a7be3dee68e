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

BUCKET_POLICY = 20_480
INLINE_POLICIES = 10_240
KEY_POLICY = 32_768
MANAGED_POLICY = 6_144
NAME = 32
PARAMETER = 4_096
QUEUE_POLICY = 8_192
TRUST_POLICY = 2_048
VARIABLES = 4_096


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


def _counted_by_iam(document: Any) -> int:
    return len(re.sub(r"\s", "", text(document)))


def trust_policy(document: Any) -> Refusal | None:
    """Return the refusal of a role's trust policy, None when it is small enough."""
    if _counted_by_iam(document) > TRUST_POLICY:
        return Refusal("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY}")
    return None


def managed_policy(document: Any) -> Refusal | None:
    """Return the refusal of a managed policy."""
    if _counted_by_iam(document) > MANAGED_POLICY:
        return Refusal("LimitExceeded", f"Cannot exceed quota for PolicySize: {MANAGED_POLICY}")
    return None


def inline_policies(role: str, changed: Mapping[str, Any]) -> Refusal | None:
    """Return the refusal of inline policies by name, which join or replace those that the role has."""
    others = {name: document for name, document in _inline(role).items() if name not in changed}
    if sum(map(_counted_by_iam, [*others.values(), *changed.values()])) > INLINE_POLICIES:
        return Refusal("LimitExceeded", f"Maximum policy size of {INLINE_POLICIES} bytes exceeded for role {role}")
    return None


def _inline(role: str) -> dict[str, Any]:
    found: dict[str, Any] = (iam._roles.get(role) or {}).get("InlinePolicies", {})
    return found


def bucket_policy(document: Any) -> Refusal | None:
    """Return the refusal of a bucket policy."""
    if len(text(document).encode()) > BUCKET_POLICY:
        return Refusal("MalformedPolicy", "Policy exceeds the maximum allowed document size.")
    return None


def key_policy(document: Any) -> Refusal | None:
    """Return the refusal of a key policy."""
    if len(text(document).encode()) > KEY_POLICY:
        return Refusal("LimitExceededException", f"The key policy exceeds the maximum of {KEY_POLICY} bytes")
    return None


def queue_policy(document: Any) -> Refusal | None:
    """Return the refusal of a queue's policy."""
    if len(text(document).encode()) > QUEUE_POLICY:
        return Refusal("OverLimit", f"The policy of a queue has at most {QUEUE_POLICY} bytes")
    return None


def variables(values: Mapping[str, Any]) -> Refusal | None:
    """Return the refusal of a function's environment variables."""
    measured = text(dict(values))
    if len(measured.encode()) > VARIABLES:
        reason = "the environment variables you have provided exceeded the 4KB limit"
        message = f"Lambda was unable to configure your environment variables because {reason}. "
        return Refusal("InvalidParameterValueException", f"{message}String measured: {measured[:80]}...")
    return None


def parameter(value: Any, tier: str) -> Refusal | None:
    """Return the refusal of a parameter's value."""
    if tier == "Standard" and len(str(value).encode()) > PARAMETER:
        message = "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
        message += "parameter value, upgrade the parameter to use the advanced tier."
        return Refusal("ValidationException", message)
    return None


def name(what: str, value: str) -> Refusal | None:
    """Return the refusal of a load balancer's or target group's name."""
    if len(value) > NAME:
        return Refusal("ValidationError", f"{what} name '{value}' cannot be longer than '{NAME}' characters")
    return None


def refuse(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError for the properties of a resource with a document that is too large."""
    for refusal in _RULES[kind](props) if kind in _RULES else ():
        if refusal is not None:
            raise ValueError(f"{refusal.message} (Error Code: {refusal.code})")


def _role(props: Properties) -> list[Refusal | None]:
    own = {policy["PolicyName"]: policy["PolicyDocument"] for policy in props.get("Policies") or ()}
    return [trust_policy(props["AssumeRolePolicyDocument"]), inline_policies(props.get("RoleName", ""), own)]


_RULES: dict[str, Callable[[Properties], list[Refusal | None]]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": lambda p: [name("The load balancer", p.get("Name", ""))],
    "AWS::ElasticLoadBalancingV2::TargetGroup": lambda p: [name("The target group", p.get("Name", ""))],
    "AWS::IAM::ManagedPolicy": lambda p: [managed_policy(p["PolicyDocument"])],
    "AWS::IAM::Policy": lambda p: [
        inline_policies(role, {p["PolicyName"]: p["PolicyDocument"]}) for role in p.get("Roles") or ()
    ],
    "AWS::IAM::Role": _role,
    "AWS::KMS::Key": lambda p: [key_policy(p["KeyPolicy"])] if "KeyPolicy" in p else [],
    "AWS::Lambda::Function": lambda p: [variables(p.get("Environment", {}).get("Variables", {}))],
    "AWS::S3::BucketPolicy": lambda p: [bucket_policy(p["PolicyDocument"])],
    "AWS::SQS::QueuePolicy": lambda p: [queue_policy(p["PolicyDocument"])],
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


def _queue_error(refusal: Refusal) -> Any:
    raise sqs._Err(*refusal)


def _of_key(data: dict[str, Any]) -> Refusal | None:
    return key_policy(data.get("Policy") or "")


def _of_function(data: dict[str, Any]) -> Refusal | None:
    return variables((data.get("Environment") or {}).get("Variables") or {})


_IAM: dict[str, Decide] = {
    "CreateRole": lambda p: trust_policy(iam._p(p, "AssumeRolePolicyDocument")),
    "UpdateAssumeRolePolicy": lambda p: trust_policy(iam._p(p, "PolicyDocument")),
    "CreatePolicy": lambda p: managed_policy(iam._p(p, "PolicyDocument")),
    "CreatePolicyVersion": lambda p: managed_policy(iam._p(p, "PolicyDocument")),
    "PutRolePolicy": lambda p: inline_policies(
        iam._p(p, "RoleName"), {iam._p(p, "PolicyName"): iam._p(p, "PolicyDocument")}
    ),
}
_OTHERS: dict[str, tuple[Decide, Respond]] = {
    "alb._ACTION_MAP[CreateLoadBalancer]": (
        lambda p: name("The load balancer", alb._p(p, "Name")),
        lambda refusal: alb._error(*refusal),
    ),
    "alb._ACTION_MAP[CreateTargetGroup]": (
        lambda p: name("The target group", alb._p(p, "Name")),
        lambda refusal: alb._error(*refusal),
    ),
    "s3._put_bucket_policy": (
        lambda _name, body: bucket_policy(body.decode(errors="replace")),
        lambda refusal: s3._error(*refusal, 400),
    ),
    "kms._create_key": (_of_key, _json_error),
    "kms._put_key_policy": (_of_key, _json_error),
    "lambda_svc._create_function": (_of_function, _json_error),
    "lambda_svc._update_config": (lambda _name, data: _of_function(data), _json_error),
    "ssm._put_parameter": (lambda p: parameter(p.get("Value", ""), p.get("Tier") or "Standard"), _json_error),
}

PATCHES = (
    *(_checked(f"iam._IAM_HANDLERS[{action}]", decide, _iam_error) for action, decide in _IAM.items()),
    *(
        _checked(
            f"sqs._HANDLERS[{action}]",
            lambda data, _url: queue_policy((data.get("Attributes") or {}).get("Policy", "")),
            _queue_error,
        )
        for action in ("CreateQueue", "SetQueueAttributes")
    ),
    *(_checked(target, decide, respond) for target, (decide, respond) in _OTHERS.items()),
)
