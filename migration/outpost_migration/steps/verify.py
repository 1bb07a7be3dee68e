"""verify: the nine criteria, the seven controls and the alarms, live: the sign-off."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from outpost.report import Check, overall
from outpost_migration.acceptance import DOCS, Acceptance
from outpost_migration.context import Context
from outpost_migration.step import Report, Step
from outpost_ops.cli.controls import live_controls


class SignoffReport(Report):
    """verify: the nine criteria and the seven controls."""

    file: ClassVar[str] = "signoff-report"
    step: Literal["verify"] = "verify"
    criteria: list[Check]
    controls: list[Check]
    migration_complete: bool
    signoff_date: datetime | None


def run(
    context: Context,
    *,
    docs: Annotated[Path, typer.Option(help="Folder of the documentation")] = DOCS,
    controls: Callable[[str], Sequence[Check]] = live_controls,
) -> SignoffReport:
    """Sign off: nine criteria, seven controls, every alarm.

    `controls` returns the checks of an environment. The migration is complete when everything passes.
    """
    criteria = Acceptance(context, docs).checks()
    control_checks = list(controls(context.deployment.environment)) or [_NO_CONTROLS]
    every = [*criteria, *control_checks, _alarms_check(context)]
    complete = overall(every) == "pass"
    return context.report(
        SignoffReport,
        every,
        criteria=criteria,
        controls=control_checks,
        migration_complete=complete,
        signoff_date=context.now() if complete else None,
    )


STEP = Step(SignoffReport, run, needs=("cutover",), takes="1 min")
_NO_CONTROLS = Check.of(
    "controls", "The seven controls hold", None, ["no control was checked"], "Run `outpost verify controls`"
)


def _alarms_check(context: Context) -> Check:
    """Every alarm of the environment is OK; one that never had data proves nothing."""
    prefix = f"Outpost-{context.deployment.environment}-"
    pages = context.deployment.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    states = {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page.get("MetricAlarms", [])}
    ringing = sorted(name for name, state in states.items() if state == "ALARM")
    silent = sorted(name for name, state in states.items() if state == "INSUFFICIENT_DATA")
    holds = False if ringing else (None if silent or not states else True)
    return Check.of(
        "alarms",
        "Every alarm is OK, none without data",
        holds,
        [
            f"cloudwatch:DescribeAlarms {prefix}*: {len(states)} alarms",
            *(f"ALARM: {name}" for name in ringing),
            *(f"no data: {name}" for name in silent),
        ],
        "See docs/operations.md, which has a section for each alarm",
    )
