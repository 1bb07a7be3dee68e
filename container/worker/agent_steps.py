"""The steps of an attempt with an agent, until the agent's end: secrets, workspace, context, agent."""

import time
from contextlib import suppress

from outpost.domain.agents import CATALOGUE
from outpost.domain.artifacts import LogSource
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.repository import clone_url, forge_repository
from outpost.redaction.searchable import searchable
from worker.adapters.transcript import Message
from worker.lines import lines_of
from worker.outcome import Outcome, decide_outcome, naming_settings
from worker.prompt_context import compose_prompt_context, prompt_of, script_of
from worker.step_context import StepContext
from worker.stop import Cause, Stopped
from worker.store import SecretError


def read_secrets(context: StepContext) -> None:
    """Read the secrets that the task names, and those to search results for. Raises `SecretError`."""
    assignment, store = context.assignment, context.store
    context.secrets = store.read_secrets(assignment.secrets)
    searched: dict[str, str] = {}
    for name, arn in assignment.searched_secrets.items():
        with suppress(SecretError):  # deleted since the claim: nobody can search for it any more
            searched |= store.read_secrets({name: arn})
    context.redactor.register({**context.secrets, **searched})
    for name, value in context.secrets.items():
        if why := searchable(value):
            context.log.event(f"logs and results are not searched for the value of {name}: {why}", "warning")


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
    """Run the agent to its end, and decide the outcome.

    Raises `ModelKeyError` and `StartError`; `BrokerError` and `Stopped` where it may not start, or nothing may be
    reported.
    """
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
