"""AWS WAF: priorities, capacity, and the log group."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.values import arn_of, text_of
from outpost_ops.templates import Templates

_CAPACITY = 1500
"""Units in the price of a web ACL; up to 5,000 at a charge."""

_GROUPS = {
    "AWSManagedRulesAdminProtectionRuleSet": 100,
    "AWSManagedRulesAmazonIpReputationList": 25,
    "AWSManagedRulesAnonymousIpList": 50,
    "AWSManagedRulesBotControlRuleSet": 50,
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesLinuxRuleSet": 200,
    "AWSManagedRulesPHPRuleSet": 100,
    "AWSManagedRulesSQLiRuleSet": 200,
    "AWSManagedRulesUnixRuleSet": 100,
    "AWSManagedRulesWindowsRuleSet": 200,
    "AWSManagedRulesWordPressRuleSet": 100,
}
"""Capacity of AWS's managed rule groups."""

_STATEMENTS = {
    "GeoMatchStatement": 1,
    "IPSetReferenceStatement": 1,
    "LabelMatchStatement": 1,
    "RateBasedStatement": 2,
    "RegexMatchStatement": 3,
    "RegexPatternSetReferenceStatement": 25,
    "SizeConstraintStatement": 1,
    "SqliMatchStatement": 20,
    "XssMatchStatement": 40,
}
"""Base capacity of each statement; a byte match is 2, or 10 when it searches within the text."""

_TRANSFORMATION = 10
_SEARCHING = {"CONTAINS", "CONTAINS_WORD"}


@rule("firewall-priorities", "AWS WAF API: Rule (2026-11)")
def priorities(templates: Templates) -> Iterator[Finding]:
    """The rules of a web ACL have priorities and names of their own."""
    for acl in templates.of_type("AWS::WAFv2::WebACL"):
        for name in ("Priority", "Name"):
            for value, count in Counter(each.get(name) for each in acl.properties.get("Rules", [])).items():
                if count > 1:
                    yield Finding(acl, f"Rules.{name}", value, f"{count} rules have it; each needs its own")


@rule("firewall-capacity", "AWS WAF Developer Guide: Web ACL capacity units; AWS managed rule groups list (2026-11)")
def capacity(templates: Templates) -> Iterator[Finding]:
    """The rules of a web ACL are within its 1,500 capacity units."""
    for acl in templates.of_type("AWS::WAFv2::WebACL"):
        used = sum(_units(each.get("Statement", {})) for each in acl.properties.get("Rules", []))
        if used > _CAPACITY:
            yield Finding(acl, "Rules", f"{used} units", f"Allowed: {_CAPACITY}; leave a rule group out")


@rule("firewall-log-name", "AWS WAF Developer Guide: Logging destinations (2026-11)")
def log_groups(templates: Templates) -> Iterator[Finding]:
    """The destination of a web ACL's logs has a name that begins with aws-waf-logs-."""
    for logging in templates.of_type("AWS::WAFv2::LoggingConfiguration"):
        for value in logging.properties.get("LogDestinationConfigs", []):
            target = logging.target(value)
            arn = arn_of(target) if target else text_of(value, logging)
            if not re.search(r"(:::|:log-group:|:deliverystream/)aws-waf-logs-", arn):
                yield Finding(logging, "LogDestinationConfigs", arn, "Begin its name with aws-waf-logs-")


def _units(statement: Mapping[str, Any]) -> int:
    """Return the capacity of a statement with everything that is nested in it."""
    total = 0
    for kind, body in statement.items():
        if kind == "ManagedRuleGroupStatement":
            total += _GROUPS.get(body["Name"], 0)
        elif kind == "ByteMatchStatement":
            total += 10 if body.get("PositionalConstraint") in _SEARCHING else 2
        total += _STATEMENTS.get(kind, 0)
        total += sum(_TRANSFORMATION for each in body.get("TextTransformations", []) if each["Type"] != "NONE")
        nested = [*body.get("Statements", []), body.get("Statement", {}), body.get("ScopeDownStatement", {})]
        total += sum(_units(each) for each in nested)
    return total
