"""What a synthesis wrote, in the terms of the tests."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from outpost_constructs.compliance import add_gate
from tools.compliance.model import GATE as OURS

Resource = dict[str, Any]


class Assembly:
    """What a synthesis wrote: the templates, and the report of the rules."""

    def __init__(self, folder: Path, stages: Sequence[cdk.Stage] = ()) -> None:
        self.folder = folder
        self.stages = stages

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """Template by stack name, `Outpost-<environment>-<stack>`."""
        found = {}
        for manifest in sorted(self.folder.glob("assembly-*/manifest.json")):
            for artifact in json.loads(manifest.read_text())["artifacts"].values():
                if artifact["type"] == "aws:cloudformation:stack":
                    properties = artifact["properties"]
                    template = manifest.parent / properties["templateFile"]
                    found[properties["stackName"]] = json.loads(template.read_text())
        return found

    @cached_property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "validation-report.json").read_text())
        return report

    def of_type(self, kind: str, environment: str | None = None) -> Iterator[tuple[str, Resource]]:
        """Each resource of that type as (`<stack>/<logical id>`, resource), of one environment or of all."""
        for stack, template in self.templates.items():
            if environment is None or stack.startswith(f"Outpost-{environment}-"):
                for logical_id, resource in template["Resources"].items():
                    if resource["Type"] == kind:
                        yield f"{stack}/{logical_id}", resource

    def violations(self) -> list[tuple[str, str]]:
        """Open findings of every pack as (rule, construct path)."""
        return [
            (violation["ruleName"], construct["constructPath"])
            for plugin in self.report["pluginReports"]
            for violation in plugin["violations"]
            for construct in violation["violatingConstructs"]
        ]

    def used_acknowledgements(self) -> dict[tuple[str, str], str]:
        """(construct path, id) -> reason of each acknowledgement that silenced a finding."""
        return {
            (violation["acknowledgedAt"], violation["acknowledgedId"]): violation["reason"]
            for plugin in self.report["pluginReports"]
            for violation in plugin.get("suppressedViolations") or []
            if violation["acknowledgedId"].startswith(OURS)
        }

    def given_acknowledgements(self) -> set[tuple[str, str]]:
        """(construct path, id) of each acknowledgement in the code."""
        return {
            (path.removeprefix("/"), finding)
            for file in self.folder.rglob("*.metadata.json")
            for path, entries in json.loads(file.read_text()).items()
            for entry in entries
            if entry["type"] == "aws:cdk:acknowledged-rules"
            for finding in entry["data"]
            if finding.startswith(OURS)
        }


def synthesize(app: cdk.App) -> Assembly:
    """Synthesize with cdk-nag. A finding is no error here: the report has it, and the tests decide."""
    add_gate(app)
    folder = Path(app.outdir)
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
    return Assembly(folder, [child for child in app.node.children if isinstance(child, cdk.Stage)])
