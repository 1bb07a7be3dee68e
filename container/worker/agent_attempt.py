"""An attempt with an agent: the steps from the assignment to the agent's end.

secrets, clone -> `started` -> the agent -> `ended`
"""

import time
from contextlib import suppress

from outpost.domain.agents import CATALOGUE
from outpost.domain.artifacts import LogSource
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.reasons import ReasonCode
from outpost.domain.repository import clone_url, forge_repository
from outpost.redaction.redactor import Redactor
from outpost.redaction.searchable import searchable
from worker.adapters.base import StartError
from worker.adapters.transcript import Message
from worker.archive import ArchiveError
from worker.attempt import Attempt
from worker.clone import CloneError
from worker.context import lay_out_context
from worker.lease import ForgeTokenError
from worker.lines import lines_of
from worker.model_proxy.access import ModelKeyError
from worker.outcome import Outcome, cancelled, decide_outcome, failed, naming_settings
from worker.stop import Cause, Stopped
from worker.store import SecretError
from worker.task_text import prompt_of, script_of


class AgentAttempt(Attempt):
    """Runs one assignment of the kind `task`."""

    def _work(self) -> Outcome:
        try:
            self._prepare()
            self._stop.check()
            self._lease.started()
        except CloneError as error:
            return failed(ReasonCode.CLONE_FAILED, f"The repository could not be cloned: {error}")
        except ArchiveError as error:
            return failed(ReasonCode.WORKSPACE_UNAVAILABLE, f"{error}.")
        except (SecretError, ForgeTokenError) as error:
            missing = isinstance(error, SecretError)
            code = ReasonCode.SECRET_UNAVAILABLE if missing else ReasonCode.FORGE_TOKEN_UNAVAILABLE
            return failed(code, f"{error}.")
        except ModelKeyError as error:
            return failed(ReasonCode.MODEL_KEY_UNUSABLE, f"The agent cannot reach its model: {error}.")
        except Stopped as stopped:
            if stopped.cause is Cause.CANCELLED:
                return cancelled()
            raise
        return self._run_agent()

    def _prepare(self) -> None:
        spec = self._assignment.spec
        self._secrets = self._store.read_secrets(self._assignment.secrets)
        searched: dict[str, str] = {}
        for name, arn in self._assignment.searched_secrets.items():
            with suppress(SecretError):  # deleted since the claim: nobody can search for it any more
                searched |= self._store.read_secrets({name: arn})
        self._register_secrets({**self._secrets, **searched})
        for name, value in self._secrets.items():
            if why := searchable(value):
                self._log_event(f"logs and results are not searched for the value of {name}: {why}", "warning")
        if self._archive is not None and self._archive.restore(self._workspace):
            self._log_event("unpacked the workspace as its last run left it")
            self._workspace.resume()
        else:
            self._log_event(f"cloning {spec.repo}" if spec.repo else "preparing an empty repository")
            self._workspace.prepare(spec, self._stop, self._forge_token)
            self._report_clone()
        context = lay_out_context(self._workspace, self._store, self._assignment, Redactor(self._known))
        self._results.context = context
        record = context.record
        if record.notes:
            self._log_event(
                f"context: {record.used_tokens} of {record.budget_tokens} tokens, {len(record.notes)} notes"
            )
        self._write_task(context.text)
        self._agent.prepare(self._secrets)
        if files := self._agent.settings_files:
            self._log_event(f"the platform's settings of {spec.agent} come before those of {', '.join(files)}")
        commit = self._workspace.commit_before
        self._log_event(f"workspace ready at {commit}" if commit else "workspace ready; the repository has no commit")

    def _write_task(self, context: str) -> None:
        """Write the task for its program: an agent with a model finds the context before it."""
        has_model = CATALOGUE[self._assignment.spec.agent].provider is not None
        task = prompt_of(self._assignment.task, context) if has_model else script_of(self._assignment.task)
        for note in task.notes:
            self._log_event(note)
        self._workspace.write_task(task.text)

    def _report_clone(self) -> None:
        """Log how the clone differs from what the request lets expect."""
        repo, base_url = self._assignment.spec.repo, self._settings.git_base_url
        if self._workspace.url and repo and self._workspace.url != clone_url(repo, base_url):
            self._log_event(f"the repository is now {forge_repository(self._workspace.url, base_url)}")
        if pointers := self._workspace.lfs_pointers:
            shown = ", ".join(pointers[:5]) + ", ..." * (len(pointers) > 5)
            self._log_event(f"{len(pointers)} files are in Git LFS and were not fetched, only their pointers: {shown}")

    def _run_agent(self) -> Outcome:
        self._held_room.take()
        self._results.started_at = now()
        self._log_event("agent started")
        try:
            evidence = self._agent.run(self._isolation, self._stop, self._on_message)
        except StartError as error:
            return failed(ReasonCode.AGENT_START_FAILED, f"{error}.")
        end = self._results.end = evidence.end
        self._ended = time.monotonic()
        lingered = "agent ended: it did not exit after its final event"
        self._log_event(lingered if end.exit_code is None else f"agent exited {end.exit_code}")
        if end.stopped is Cause.LOST:
            raise Stopped(Cause.LOST)
        if end.by_itself:
            self._lease.ended(end.exit_code)
        outcome = naming_settings(decide_outcome(evidence), evidence, self._agent.settings_files)
        if outcome.status is Status.SUCCESS and evidence.missing_tools and self._agent.settings_files:
            self._log_event(outcome.reason.message, "warning")
        return outcome

    def _on_message(self, message: Message) -> None:
        """Put a message of the agent into the log, line by line, and where it says how far it is, into the progress."""
        lines = self._log.write_lines(LogSource.AGENT, lines_of(message.text))
        if message.progress:
            self._lease.progress = next((line for line in lines if line.strip()), None)
