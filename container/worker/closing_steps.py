"""The steps that close an attempt, whatever its outcome: collect, upload, report.

On SIGTERM what there is becomes the last checkpoint: log and patch, but neither summary nor report, because the outcome
is not ours to say. The end of this task then closes the dispatch as WORKER_LOST, or gives it back.
"""

import time
from dataclasses import replace

import structlog

from outpost.domain.dispatch import Status
from outpost.domain.lifecycle import cancellation
from outpost.domain.protocol import ReportRequest
from outpost.domain.reasons import ReasonCode
from worker.archive import Archive, ArchiveError, ArchiveFullError
from worker.broker import BrokerError
from worker.outcome import Outcome, without_results
from worker.step_context import StepContext
from worker.stop import Cause, Stopped

UPLOAD_SECONDS = 1_700.0
"""From the agent's end to that of its uploads: the reconciler closes the dispatch after 30 minutes."""
OUTAGE_SECONDS = 7_200.0
"""The longest outage of the broker that a worker with results and without live credentials waits for."""
REPORT_SECONDS = 120.0
"""How long an outcome is reported that the stored summary names too: after the end of this task that closes the
dispatch."""

_log = structlog.get_logger()


def collect(context: StepContext, outcome: Outcome) -> Outcome:
    """Write the persistent workspace back, and collect the patch. Raises `Stopped` when the lease is lost."""
    context.fence.check()
    if outcome.status is Status.CANCELLED:
        outcome = replace(outcome, reason=cancellation(context.fence.cancel_reason))
    context.held_room.release()
    end = context.results.end
    if end is None:
        return outcome
    if context.archive is not None and not _is_terminated(context):
        outcome = _keep_workspace(context, context.archive, outcome, seconds=300 if end.by_itself else 20)
    # Others wait for an agent that was stopped: ECS 120 s, the reconciler 120 s after the time limit.
    return context.results.collect(outcome, seconds=600 if end.by_itself else 45)


def upload(context: StepContext, outcome: Outcome) -> Outcome:
    """Store patch, log and summary, in this order. Raises `Stopped` after the checkpoint of a terminated run."""
    results, log = context.results, context.log
    if _is_terminated(context):
        unchanged = "; the workspace stays as it was before this run" if context.archive is not None else ""
        log.event(f"the worker is being stopped; this is the last checkpoint{unchanged}", "error")
        results.upload(outcome, 20, None)
        _give_back(context)
        raise Stopped(Cause.TERMINATED)
    if outcome.status is not Status.SUCCESS:
        log.event(outcome.reason.message, "error")
    seconds = _upload_seconds(context)
    return results.upload(
        outcome, seconds, lambda: results.summary(outcome, context.usage, context.agent.final_message)
    )


def report(context: StepContext, outcome: Outcome) -> Outcome:
    """Report the outcome. Raises `BrokerError` and `Stopped`."""
    results, patch = context.results, context.results.patch
    request = context.fence.request(
        ReportRequest,
        outcome=outcome.status,
        reason=results.reason(outcome),
        exit_code=outcome.exit_code,
        usage=context.usage,
        log_tail=results.tail(outcome),
        findings=patch.findings.brief() if patch else None,
        collection=results.collection.brief() if patch else None,
    )
    context.calls.report(request, REPORT_SECONDS if results.stored else None)
    return outcome


def _is_terminated(context: StepContext) -> bool:
    end = context.results.end
    return end is not None and end.stopped is Cause.TERMINATED


def _keep_workspace(context: StepContext, archive: Archive, outcome: Outcome, seconds: float) -> Outcome:
    """Write the workspace back, before the patch is collected, which may delete pipes."""
    try:
        size = archive.save(context.workspace, seconds, context.calls.reserve)
    except ArchiveError as error:
        context.log.event(f"{error}; it stays as it was before this run", "error")
        full = isinstance(error, ArchiveFullError)
        code = ReasonCode.WORKSPACE_FULL if full else ReasonCode.WORKSPACE_UNAVAILABLE
        return without_results(outcome, code, f"{error}.")
    context.heartbeat.saved(size)
    context.log.event(f"kept the workspace: {size / 2**20:.1f} MiB")
    return outcome


def _upload_seconds(context: StepContext) -> float:
    """Return how long results are uploaded: others wait for an agent that was stopped, or never started.

    The reconciler's limit counts from when the broker knows of the agent's end. Until then only credentials can be
    missing, which come once the broker responds.
    """
    end = context.results.end
    if end is None or not end.by_itself:
        return 120
    if not context.heartbeat.is_up_to_date:
        return OUTAGE_SECONDS
    return max(120, UPLOAD_SECONDS - (time.monotonic() - context.ended_at))


def _give_back(context: StepContext) -> None:
    """Report what was spent, as no report will: the rest of the grant is for the next attempt."""
    try:
        if context.assignment.dollar_budget:
            context.calls.give_back(context.agent.meter.committed_micros)
    except BrokerError as error:
        _log.warning("what is left of the grant was not given back", error=str(error))
