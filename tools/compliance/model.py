"""The compliance report of one environment: what `make nag` writes, and the tests check."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from outpost_constructs.nag_suppressions import end_of, reason_of
from outpost_ops.config import EnvironmentConfig
from outpost_ops.templates import Templates
from tools.compliance.at_rest import EXPLANATIONS as AT_REST
from tools.compliance.at_rest import explanations, place_of, under_another_key

EXPLANATIONS = Path(__file__).resolve().parents[2] / "docs" / "compliance" / "nist-800-53-r5.toml"
GATE = "AwsSolutions::"
"""The CDK acknowledges findings of its own rules itself; those are not ours to account for."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenFinding(_Frozen):
    """A finding that nobody acknowledged."""

    rule: str
    path: str
    description: str


class Acknowledged(_Frozen):
    """A finding that is accepted, with the reason, until a day."""

    rule: str
    path: str
    reason: str
    until: date


class Watched(_Frozen):
    """A rule of NIST 800-53 R5 that finds something."""

    rule: str
    findings: int
    explanation: str | None


class UnderAnotherKey(_Frozen):
    """Something kept at rest that the environment's own key does not encrypt."""

    what: str
    """A resource as `<stack>/<logical id>`, or a name for what no template describes."""
    type: str | None
    explanation: str | None


class ComplianceReport(_Frozen):
    """Everything that rules say of one environment, and of which state of the code."""

    environment: str
    account: str
    commit: str
    """Of the checkout, with `-dirty` when files differ from it; `unknown` outside a git checkout."""
    made_on: date
    own_key: bool
    """Whether the environment has a key of its own: `encryption = "customer"`."""
    under_another_key: list[UnderAnotherKey]
    """Empty without an own key: then AWS's keys encrypt everything."""
    open: list[OpenFinding]
    acknowledged: list[Acknowledged]
    nist: list[Watched]
    nist_limit: int | None
    """None for an environment that is not of this project: each rule has to be explained, at any number."""

    @property
    def nist_total(self) -> int:
        """The findings of NIST 800-53 R5."""
        return sum(row.findings for row in self.nist)

    @property
    def expired(self) -> list[Acknowledged]:
        """The acknowledgements that are past their end."""
        return [finding for finding in self.acknowledged if finding.until < self.made_on]

    @property
    def reasons(self) -> dict[str, list[Acknowledged]]:
        """The acknowledgements by reason."""
        found: dict[str, list[Acknowledged]] = {}
        for finding in self.acknowledged:
            found.setdefault(finding.reason, []).append(finding)
        return dict(sorted(found.items()))

    @property
    def remaining(self) -> list[str]:
        """What remains open although nothing fails, in a sentence each."""
        keys = len(self.under_another_key)
        key = f"{keys} things at rest are under AWS's keys" if self.own_key else "AWS's keys encrypt everything at rest"
        return [
            f"{len(self.acknowledged)} findings of AwsSolutions are acknowledged for {len(self.reasons)} reasons",
            f"{self.nist_total} findings of NIST 800-53 R5 are explained",
            key,
        ]

    def problems(self) -> Iterator[str]:
        """Yield what fails the gate."""
        yield from (f"{finding.rule} at {finding.path}: {finding.description}" for finding in self.open)
        yield from (f"{finding.rule} at {finding.path}: acknowledged until {finding.until}" for finding in self.expired)
        yield from (f"NIST {row.rule}: explain it in {EXPLANATIONS}" for row in self.nist if not row.explanation)
        for each in self.under_another_key:
            if not each.explanation:
                yield f"{each.type} {each.what}: encrypt it with the environment's key, or explain it in {AT_REST}"
        if self.nist_limit is not None and self.nist_total > self.nist_limit:
            yield f"NIST 800-53 R5: {self.nist_total} findings, allowed are {self.nist_limit} ({EXPLANATIONS})"


def compliance_report(
    config: EnvironmentConfig,
    *,
    validation: Mapping[str, Any],
    nist: Mapping[str, int],
    templates: Templates,
    commit: str,
    today: date,
) -> ComplianceReport:
    """Return the report from the CDK's validation report, the counted findings of NIST 800-53 R5 and the templates."""
    environment = config.name
    own_key = config.encryption == "customer"
    watched = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    explained = watched["explained"]
    return ComplianceReport(
        environment=environment,
        account=config.account,
        commit=commit,
        made_on=today,
        own_key=own_key,
        under_another_key=list(_under_another_key(templates)) if own_key else [],
        open=[
            OpenFinding(rule=violation["ruleName"], path=path, description=violation["description"])
            for violation, path in _of(environment, validation, "violations")
        ],
        acknowledged=[
            Acknowledged(
                rule=violation["acknowledgedId"].removeprefix(GATE),
                path=path,
                reason=reason_of(violation["reason"]),
                until=end_of(violation["reason"]),
            )
            for violation, path in _of(environment, validation, "suppressedViolations")
            if violation["acknowledgedId"].startswith(GATE)
        ],
        nist=[
            Watched(rule=rule, findings=count, explanation=explained.get(rule)) for rule, count in sorted(nist.items())
        ],
        nist_limit=watched["limits"].get(environment),
    )


def _under_another_key(templates: Templates) -> Iterator[UnderAnotherKey]:
    resources, outside = explanations()
    for resource in under_another_key(templates):
        explanation = resources.get(place_of(resource))
        yield UnderAnotherKey(what=resource.place, type=resource.type, explanation=explanation)
    for what, explanation in outside.items():
        yield UnderAnotherKey(what=what, type=None, explanation=explanation)


def _of(environment: str, validation: Mapping[str, Any], key: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for plugin in validation["pluginReports"]:
        for violation in plugin.get(key) or []:
            for construct in violation["violatingConstructs"]:
                if construct["constructPath"].startswith(f"Outpost-{environment}/"):
                    yield violation, construct["constructPath"]
