"""The compliance report of one environment: what `make nag` writes, and the tests judge."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from outpost_constructs.acknowledge import end_of, reason_of

EXPLANATIONS = Path(__file__).resolve().parents[2] / "docs" / "compliance" / "nist-800-53-r5.toml"
GATE = "AwsSolutions::"
"""The CDK acknowledges findings of its own rules itself; those are not ours to account for."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    rule: str


class OpenFinding(_Row):
    """A finding that nobody acknowledged."""

    path: str
    description: str


class Acknowledged(_Row):
    """A finding that is accepted, with the reason, until a day."""

    path: str
    reason: str
    until: date


class Watched(_Row):
    """A rule of NIST 800-53 R5 that finds something."""

    findings: int
    explanation: str | None


class ComplianceReport(BaseModel):
    """Everything that rules say of one environment."""

    model_config = ConfigDict(frozen=True)

    environment: str
    made_on: date
    open: list[OpenFinding]
    acknowledged: list[Acknowledged]
    nist: list[Watched]
    nist_limit: int | None

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

    def problems(self) -> Iterator[str]:
        """Yield what fails the gate."""
        yield from (f"{finding.rule} at {finding.path}: {finding.description}" for finding in self.open)
        yield from (f"{finding.rule} at {finding.path}: acknowledged until {finding.until}" for finding in self.expired)
        yield from (f"NIST {row.rule}: explain it in {EXPLANATIONS}" for row in self.nist if not row.explanation)
        if self.nist_limit is None or self.nist_total > self.nist_limit:
            yield f"NIST 800-53 R5: {self.nist_total} findings, allowed are {self.nist_limit} ({EXPLANATIONS})"


def compliance_report(
    environment: str, validation: Mapping[str, Any], nist: Mapping[str, int], today: date
) -> ComplianceReport:
    """Return the report from the CDK's validation report and the counted findings of NIST 800-53 R5."""
    watched = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    explained = watched["explained"]
    return ComplianceReport(
        environment=environment,
        made_on=today,
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


def _of(environment: str, validation: Mapping[str, Any], key: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for plugin in validation["pluginReports"]:
        for violation in plugin.get(key) or []:
            for construct in violation["violatingConstructs"]:
                if construct["constructPath"].startswith(f"Outpost-{environment}/"):
                    yield violation, construct["constructPath"]
