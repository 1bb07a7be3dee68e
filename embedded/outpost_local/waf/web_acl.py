"""Evaluates a web ACL for a request, as AWS WAF does.

Rules run by priority until one ends the evaluation; rules of a managed group run in its order, an override may make one
count, and each that matches adds its label, which later rules can match (AWS WAF: Using protection packs with rules and
rule groups; Web request labeling).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from outpost_local.waf.managed_rules import GROUPS
from outpost_local.waf.request import WebRequest

Json = Mapping[str, Any]
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "EXACTLY": str.__eq__,
    "STARTS_WITH": str.startswith,
    "ENDS_WITH": str.endswith,
    "CONTAINS": str.__contains__,
}
_TRANSFORMATIONS: Mapping[str, Callable[[str], str]] = {
    "NONE": lambda text: text,
    "LOWERCASE": str.lower,
    "URL_DECODE": unquote,
}


@dataclass(frozen=True)
class Decision:
    """Whether a request is blocked, by which rule, and the labels that it had got by then."""

    blocked: bool
    rule: str | None
    """Name in the web ACL, with the managed rule behind a slash; None when the default action decided."""
    labels: Sequence[str]


@dataclass
class _Evaluation:
    request: WebRequest
    recent_requests: int
    labels: list[str] = field(default_factory=list)

    def holds(self, statement: Json) -> bool:
        """Return whether a statement matches. Raises `NotImplementedError` naming a kind that is not known here."""
        ((kind, content),) = statement.items()
        match kind:
            case "AndStatement":
                return all(self.holds(each) for each in content["Statements"])
            case "OrStatement":
                return any(self.holds(each) for each in content["Statements"])
            case "NotStatement":
                return not self.holds(content["Statement"])
            case "LabelMatchStatement":
                if content["Scope"] != "LABEL":
                    raise NotImplementedError(f"label scope {content['Scope']}: add it to {__name__}")
                return content["Key"] in self.labels
            case "RateBasedStatement":
                return self.recent_requests > int(content["Limit"])
            case "ByteMatchStatement":
                return self._matches_text(content)
        raise NotImplementedError(f"WAF statement {kind}: add it to {__name__}")

    def _matches_text(self, content: Json) -> bool:
        text = self._part(content["FieldToMatch"])
        for step in sorted(content["TextTransformations"], key=lambda step: int(step["Priority"])):
            text = _TRANSFORMATIONS[step["Type"]](text)
        return _COMPARISONS[content["PositionalConstraint"]](text, content["SearchString"])

    def _part(self, named: Json) -> str:
        ((name, options),) = named.items()
        parts: Mapping[str, Callable[[], str]] = {
            "UriPath": lambda: self.request.path,
            "QueryString": lambda: self.request.query,
            "Method": lambda: self.request.method,
            "SingleHeader": lambda: self.request.header(options["Name"]) or "",
        }
        return parts[name]()

    def managed(self, content: Json) -> str | None:
        """Run a managed group; return the name of its rule that blocks."""
        if "ScopeDownStatement" in content and not self.holds(content["ScopeDownStatement"]):
            return None
        rules = {rule.name: rule for rule in GROUPS[content["Name"]]}
        overrides = {each["Name"]: each["ActionToUse"] for each in content.get("RuleActionOverrides", ())}
        if unknown := overrides.keys() - rules.keys():
            raise ValueError(f"{content['Name']} has no rules {', '.join(sorted(unknown))}")
        for rule in rules.values():
            if rule.matches(self.request):
                self.labels.append(rule.label)
                action = overrides.get(rule.name, {"Block": {}})
                if "Block" in action:
                    return rule.name
                if "Count" not in action:
                    raise NotImplementedError(f"WAF action {next(iter(action))}: add it to {__name__}")
        return None


def evaluate(acl: Json, request: WebRequest, recent_requests: int = 0) -> Decision:
    """Return what becomes of a request. `recent_requests` are those of its address in the rate-based rule's window.

    Raises `NotImplementedError` and `ValueError` at what a template may say and this module does not know.
    """
    evaluation = _Evaluation(request, recent_requests)
    for rule in sorted(acl["Rules"], key=lambda rule: int(rule["Priority"])):
        statement = rule["Statement"]
        if managed := statement.get("ManagedRuleGroupStatement"):
            blocking = evaluation.managed(managed)
            if blocking and "Count" not in rule["OverrideAction"]:
                return Decision(True, f"{rule['Name']}/{blocking}", evaluation.labels)
        elif evaluation.holds(statement):
            action = rule["Action"]
            evaluation.labels += [label["Name"] for label in rule.get("RuleLabels", ())]
            if "Count" not in action:
                return Decision("Block" in action, rule["Name"], evaluation.labels)
    return Decision("Block" in acl["DefaultAction"], None, evaluation.labels)
