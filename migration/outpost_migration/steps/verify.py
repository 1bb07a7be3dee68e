"""verify: the nine criteria, the seven controls and the alarms, live: the sign-off."""

from collections.abc import Callable, Sequence
from pathlib import Path

from outpost.report import Check, overall
from outpost_migration.acceptance import Acceptance
from outpost_migration.context import Context
from outpost_migration.reports import SignoffReport

Controls = Callable[[], Sequence[Check]]


def run(context: Context, controls: Controls, docs: Path) -> SignoffReport:
    """Check everything; the migration is complete when all of it passes, and then signed off."""
    started_at = context.now()
    criteria = Acceptance(context, docs).checks()
    control_checks = list(controls()) or [no_controls()]
    every = [*criteria, *control_checks, alarms_check(context)]
    complete = overall(every) == "pass"
    return context.report(
        SignoffReport,
        started_at,
        every,
        criteria=criteria,
        controls=control_checks,
        migration_complete=complete,
        signoff_date=context.now() if complete else None,
    )


def no_controls() -> Check:
    """The check that stands for controls that could not be looked at."""
    return Check.of(
        "controls", "The seven controls hold", None, ["no control was checked"], "Run `outpost verify controls`"
    )


def alarms_check(context: Context) -> Check:
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
        "docs/operations.md says what to do for each alarm",
    )
