"""monitor: starts the window that the account's function samples, and reports where it stands."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

import typer

from outpost.names import MigrationOutput
from outpost.report import Check
from outpost_migration.context import Context
from outpost_migration.monitor.documents import DocumentChangedError
from outpost_migration.monitor.evaluation import checks, figures, proposal
from outpost_migration.monitor.model import CURRENT_PLAN, Checkpoint, Figures, Plan, Proposal, State
from outpost_migration.monitor.sources import AccountSources
from outpost_migration.monitor.watch import Watch
from outpost_migration.step import Report, Step

POLL_SECONDS = 30


class MonitoringReport(Report):
    """monitor: the day after the cutover."""

    file: ClassVar[str] = "monitoring-report"
    step: Literal["monitor"] = "monitor"
    uptime: float | None
    error_rate: float | None
    ssm_calls: int
    samples: int
    coverage: float
    figures: Figures
    checkpoints: list[Checkpoint]
    proposal: Proposal | None
    baseline_saved: bool
    complete: bool


def run(
    context: Context,
    *,
    window: Annotated[int, typer.Option(help="Seconds to watch; the sign-off needs 86400", min=1)] = 86_400,
    period: Annotated[int, typer.Option(help="Seconds of one sample", min=1)] = 60,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the window is over; the account samples in any case")
    ] = False,
) -> MonitoringReport:
    """Start watching the day after the cutover, or show where it stands.

    Passes only when the whole window is covered.
    """
    lengths = Plan(run=context.run, started_at=context.started_at, window_seconds=window, period_seconds=period)
    plan = start(context, lengths)
    watch = watch_of(context)
    while wait and not complete(plan, context.now()):
        _show(context, watch, plan)
        context.sleep(POLL_SECONDS)
    now, samples = context.now(), watch.samples(plan)
    seen = plan.due(now, plan.metric_delay_seconds)
    found = figures(plan, samples, seen)
    return context.report(
        MonitoringReport,
        [*checks(found, whole=plan.expected), _ticks_check(plan, watch.state(plan), now)],
        uptime=found.availability,
        error_rate=found.error_rate,
        ssm_calls=found.v1_dispatches,
        samples=found.samples,
        coverage=found.samples / plan.expected,
        figures=found,
        checkpoints=watch.checkpoints(plan),
        proposal=proposal(plan, samples, seen),
        baseline_saved=watch.baseline(plan) is not None,
        complete=complete(plan, now),
    )


STEP = Step(MonitoringReport, run, needs=("cutover",), takes="24 h", changes="nothing; the account samples by itself")


def watch_of(context: Context) -> Watch:
    """Return the monitor, reading what the account's function wrote and reads."""
    deployment = context.deployment
    sources = AccountSources(
        cloudwatch=deployment.client("cloudwatch"),
        trail=deployment.trail,
        load_balancer=deployment[MigrationOutput.LOAD_BALANCER].partition("loadbalancer/")[2],
        target_group=deployment[MigrationOutput.TARGET_GROUP].rpartition(":")[2],
        instance_id=None,
    )
    return Watch(context.documents, sources)


def complete(plan: Plan, now: datetime) -> bool:
    """Return whether every period of the window can be evaluated."""
    return plan.due(now, max(plan.lag_seconds, plan.metric_delay_seconds)) == plan.expected


def start(context: Context, plan: Plan) -> Plan:
    """Start the window of a plan with the next whole period; return the plan that runs, which may be an earlier one."""
    running = context.documents.read(Plan, CURRENT_PLAN)
    if running and running.value.run == context.run:
        return running.value
    # Metrics come in whole periods of the clock: the window begins with the next one.
    begin = math.ceil(plan.started_at.timestamp() / plan.period_seconds) * plan.period_seconds
    start_at = datetime.fromtimestamp(begin, tz=UTC)
    plan = plan.model_copy(update={"started_at": start_at})

    def write() -> None:
        with suppress(DocumentChangedError):  # another operator started it in the same moment: then it runs
            context.documents.write(CURRENT_PLAN, plan, running.etag if running else None)

    context.change(f"Start monitoring: {plan.window_seconds / 3600:.2f} h from {start_at:%Y-%m-%d %H:%M:%S} UTC", write)
    return plan


def _ticks_check(plan: Plan, state: State | None, now: datetime) -> Check:
    evidence, holds = "no tick yet", None
    if state:
        late = (min(now, plan.ends_at) - state.ticked_at).total_seconds()
        holds = late <= max(300, 5 * plan.period_seconds)
        evidence = f"last tick {state.ticked_at:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "Look at the log group migration-monitor of the environment"
    return Check.of("ticks", "The account's function takes the samples", holds, [evidence], remedy)


def _show(context: Context, watch: Watch, plan: Plan) -> None:
    if state := watch.state(plan):
        found, rollback = state.figures, state.proposal
        proposed = f"; rollback level {rollback.level} is proposed: {rollback.reason}" if rollback else ""
        context.progress(
            f"{found.samples} of {plan.expected} samples, {found.v1_dispatches} dispatches by v1{proposed}"
        )
