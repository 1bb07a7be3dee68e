"""The steps of an attempt with an agent: secrets, workspace, context, agent; and those that close any attempt.

On SIGTERM what there is becomes the last checkpoint: log and patch, but neither summary nor report, because the outcome
is not ours to say. The end of this task then closes the dispatch as WORKER_LOST, or gives it back.
"""

import time
from dataclasses import replace

import structlog

from outpost.domain.agents import CATALOGUE
from outpost.domain.artifacts import LogSource
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import cancellation
from outpost.domain.protocol import ReportRequest
from outpost.domain.reasons import ReasonCode
from outpost.domain.repository import clone_url, forge_repository
from outpost.domain.secrets import MAX_NAME_LENGTH
from outpost.redaction.searchable import searchable
from worker.adapters.transcript import Message
from worker.archive import Archive, ArchiveError, ArchiveFullError
from worker.broker import BrokerError
from worker.lines import lines_of
from worker.outcome import Outcome, decide_outcome, naming_settings, without_results
from worker.prompt_context import compose_prompt_context, prompt_of, script_of
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


def read_secrets(context: StepContext) -> None:
    """Read the secrets that the task names, and those to search results for. Raises `SecretError`."""
    assignment, store = context.assignment, context.store
    context.secrets = store.read_secrets(assignment.secrets)
    # One that was deleted since the claim cannot be searched for; one that was never changed has no earlier value.
    known = {**context.secrets, **store.read_secrets(assignment.searched_secrets, required=False)}
    kept = {**assignment.secrets, **assignment.searched_secrets} if assignment.spec.workspace_id else {}
    earlier = {_earlier(name): arn for name, arn in kept.items()}
    before = store.read_secrets(earlier, "AWSPREVIOUS", required=False)
    context.redactor.register(known | {name: value for name, value in before.items() if value not in known.values()})
    for name, value in context.secrets.items():
        if why := searchable(value):
            context.log.event(f"logs and results are not searched for the value of {name}: {why}", "warning")


def _earlier(name: str) -> str:
    """Return the name of a secret's value before its last change, which an earlier run may have left in a workspace."""
    ending = " (earlier)"
    return name[: MAX_NAME_LENGTH - len(ending)] + ending


def prepare_workspace(context: StepContext) -> None:
    """Unpack the workspace, or clone. Raises `ArchiveError`, `CloneError`, `ForgeTokenError`, `Stopped`."""
    spec, workspace, log = context.assignment.spec, context.workspace, context.log
    if context.archive is not None and context.archive.restore(workspace):
        log.event("unpacked the workspace as its last run left it")
        workspace.resume()
        return
    log.event(f"cloning {spec.repo}" if spec.repo else "preparing an empty repository")
    workspace.prepare(spec, context.stop, context.forge_token)
    base_url = context.worker.settings.git_base_url
    if workspace.url and spec.repo and workspace.url != clone_url(spec.repo, base_url):
        log.event(f"the repository is now {forge_repository(workspace.url, base_url)}")
    if pointers := workspace.lfs_pointers:
        shown = ", ".join(pointers[:5]) + ", ..." * (len(pointers) > 5)
        log.event(f"{len(pointers)} files are in Git LFS and were not fetched, only their pointers: {shown}")


def write_prompt(context: StepContext) -> None:
    """Write the task for its program: an agent with a model finds the context before it."""
    assignment, log = context.assignment, context.log
    notes = compose_prompt_context(context.workspace, context.store, assignment, context.redactor)
    context.results.context = notes
    record = notes.record
    if record.notes:
        log.event(f"context: {record.used_tokens} of {record.budget_tokens} tokens, {len(record.notes)} notes")
    has_model = CATALOGUE[assignment.spec.agent].provider is not None
    task = prompt_of(assignment.task, notes.text) if has_model else script_of(assignment.task)
    for note in task.notes:
        log.event(note)
    context.workspace.write_task(task.text)


def run_agent(context: StepContext) -> Outcome:
    """Run the agent, and decide the outcome. Raises `ModelKeyError`, `StartError`, `BrokerError`, `Stopped`."""
    agent, log, results = context.agent, context.log, context.results
    _prepare_agent(context)
    context.stop.check()
    context.calls.started()
    context.held_room.take()
    results.started_at = now()
    log.event("agent started")
    evidence = agent.run(context.worker.isolation, context.stop, lambda message: _log_message(context, message))
    end = results.end = evidence.end
    context.ended_at = time.monotonic()
    lingered = "agent ended: it did not exit after its final event"
    log.event(lingered if end.exit_code is None else f"agent exited {end.exit_code}")
    if end.stopped is Cause.LOST:
        raise Stopped(Cause.LOST)
    if end.by_itself:
        context.heartbeat.ended(end.exit_code)
    outcome = naming_settings(decide_outcome(evidence), evidence, agent.settings_files)
    if outcome.status is Status.SUCCESS and evidence.missing_tools and agent.settings_files:
        log.event(outcome.reason.message, "warning")
    return outcome


def _prepare_agent(context: StepContext) -> None:
    context.agent.prepare(context.secrets)
    if files := context.agent.settings_files:
        agent = context.assignment.spec.agent
        context.log.event(f"the platform's settings of {agent} come before those of {', '.join(files)}")
    commit = context.workspace.commit_before
    context.log.event(f"workspace ready at {commit}" if commit else "workspace ready; the repository has no commit")


def _log_message(context: StepContext, message: Message) -> None:
    """Put a message of the agent into the log, line by line, and where it says how far it is, into the progress."""
    lines = context.log.write(LogSource.AGENT, lines_of(message.text))
    if message.progress:
        context.log.progress = next((line for line in lines if line.strip()), None)


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
