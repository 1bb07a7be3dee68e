"""monitor: starts the window that the account's function samples, and reports where it stands."""

import math
from datetime import UTC, datetime

from outpost.names import MigrationOutput
from outpost.report import Check
from outpost_migration.context import Context
from outpost_migration.monitor.documents import DocumentChangedError
from outpost_migration.monitor.evaluation import checks, figures, proposal
from outpost_migration.monitor.model import CURRENT_PLAN, Plan
from outpost_migration.monitor.sources import AccountSources
from outpost_migration.monitor.watch import Watch
from outpost_migration.reports import MonitoringReport

POLL_SECONDS = 30


def run(context: Context, template: Plan, *, wait: bool = False) -> MonitoringReport:
    """Start the window unless it was started, and judge what is known of it. Passes only when it is covered.

    `template` gives the lengths of a new window; its run and start are this run's and now.
    """
    started_at = context.now()
    plan = _started(context, template, started_at)
    watch = watch_of(context)
    while wait and not complete(plan, context.now()):
        _show(context, watch, plan)
        context.sleep(POLL_SECONDS)
    now, samples = context.now(), watch.samples(plan)
    seen = plan.due(now, plan.metric_delay_seconds)
    found = figures(plan, samples, seen)
    state = watch.state(plan)
    judged = [*checks(found, whole=plan.expected), _alive_check(plan, state.ticked_at if state else None, now)]
    return context.report(
        MonitoringReport,
        started_at,
        judged,
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
    """Say whether every period of the window can be judged."""
    return plan.due(now, max(plan.lag_seconds, plan.metric_delay_seconds)) == plan.expected


def _started(context: Context, template: Plan, now: datetime) -> Plan:
    running = context.documents.read(Plan, CURRENT_PLAN)
    if running and running.value.run == context.run:
        return running.value
    # Metrics come in whole periods of the clock: the window begins with the next one.
    begin = math.ceil(now.timestamp() / template.period_seconds) * template.period_seconds
    start_at = datetime.fromtimestamp(begin, tz=UTC)
    plan = template.model_copy(update={"run": context.run, "started_at": start_at})

    def start() -> None:
        try:
            context.documents.write(CURRENT_PLAN, plan, running.etag if running else None)
        except DocumentChangedError:  # another operator started it in the same moment: then it runs
            return

    context.change(f"Start monitoring: {plan.window_seconds / 3600:.2f} h from {start_at:%Y-%m-%d %H:%M:%S} UTC", start)
    return plan


def _alive_check(plan: Plan, ticked_at: datetime | None, now: datetime) -> Check:
    """The account's function does its work: without it there are no samples to come."""
    late = None if ticked_at is None else (min(now, plan.ends_at) - ticked_at).total_seconds()
    holds = None if late is None else late <= max(300, 5 * plan.period_seconds)
    evidence = "no tick yet" if ticked_at is None else f"last tick {ticked_at:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "Look at the log group migration-monitor of the environment"
    return Check.of("ticks", "The account's function takes the samples", holds, [evidence], remedy)


def _show(context: Context, watch: Watch, plan: Plan) -> None:
    state = watch.state(plan)
    if state:
        context.progress(
            f"{state.figures.samples} of {plan.expected} samples, {state.figures.v1_dispatches} dispatches by v1"
            + (
                f"; rollback level {state.proposal.level} is proposed: {state.proposal.reason}"
                if state.proposal
                else ""
            )
        )
