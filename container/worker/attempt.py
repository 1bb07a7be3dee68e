"""One attempt at a dispatch, from the assignment to the report.

    secrets, clone -> `started` -> the agent -> `ended` -> patch, log, summary -> `report`

Cancelled, timed out or never started, the report follows from where the run stands, without `ended`. On SIGTERM the
agent is stopped and what there is becomes the last checkpoint: log and patch, but neither summary nor report, because
the outcome is not ours to say. The end of this task then closes the dispatch as WORKER_LOST, or gives it back.
"""

import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property

import structlog

from outpost.domain.agents import CATALOGUE
from outpost.domain.artifacts import Artifact, LogSource, Summary
from outpost.domain.collection import Collection
from outpost.domain.dispatch import Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.ids import now
from outpost.domain.protocol import Assignment, Credentials
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.repository import clone_url, forge_repository
from outpost.redaction.redactor import Redactor
from outpost.redaction.searchable import searchable
from worker.adapters.transcript import Message
from worker.agent_process import AgentEnd, StartError
from worker.agent_session import AgentSession
from worker.archive import Archive, ArchiveError, ArchiveFullError
from worker.broker import Broker, BrokerError
from worker.clone import CloneError
from worker.collect import CollectError, Collector, Patch
from worker.context import Context, lay_out_context
from worker.isolation import Isolation, IsolationError, end_all
from worker.lease import ForgeTokenError, Lease
from worker.lines import lines_of
from worker.logs import RunLog
from worker.model_access import ModelKeyError
from worker.outcome import Outcome, cancelled, decide_outcome, failed, naming_settings, withholding, without_results
from worker.secret_scan import SecretScan
from worker.settings import Identity, Settings
from worker.stop import Cause, Stopped, StopSignal
from worker.store import AttemptStore, SecretError, TooLargeError, UploadError
from worker.task_text import prompt_of, script_of
from worker.usage import usage_of
from worker.workspace import Workspace

EXIT_DONE = 0
EXIT_BROKEN = 1
EXIT_LOST = 75
EXIT_TERMINATED = 143
FINAL_MESSAGE_LENGTH = 4_000

_log = structlog.get_logger()


class Attempt:
    """Runs one assignment. `run` is called once."""

    def __init__(
        self,
        assignment: Assignment,
        settings: Settings,
        identity: Identity,
        broker: Broker,
        isolation: Isolation,
        stop: StopSignal,
    ) -> None:
        self._assignment = assignment
        self._settings = settings
        self._identity = identity
        self._claimed = time.monotonic()
        self._isolation = isolation
        self._stop = stop
        self._store = AttemptStore(assignment)
        self._lease = Lease(broker, assignment, stop, self._use)
        self._store.check = self._lease.check
        self._workspace = Workspace(settings, isolation)
        self._archive = Archive(settings.workspaces, assignment) if assignment.spec.workspace_id else None
        self._log = RunLog(self._store, self._workspace.private / "output.log")
        self._known: dict[str, str] = {}
        self._learn({"attempt-credentials": assignment.credentials.secret_access_key})
        if assignment.bedrock:
            self._learn({"bedrock-credentials": assignment.bedrock.credentials.secret_access_key})
        self._secrets: Mapping[str, str] = {}
        self._started_at: datetime | None = None
        self._end: AgentEnd | None = None
        self._patch: Patch | None = None
        self._context: Context | None = None
        self._agent = AgentSession(assignment, settings, self._workspace, self._store, self._learn)

    def run(self) -> int:
        """Do it all, and return the worker's exit code."""
        try:
            with self._lease:
                outcome = self._work()
                outcome = self._leave_results(outcome)
                self._report(outcome)
        except Stopped as stopped:
            _log.info("stopped", cause=stopped.cause.value)
            return EXIT_LOST if stopped.cause is Cause.LOST else EXIT_TERMINATED
        except BrokerError as error:
            _log.error("the outcome could not be reported; the sweep will close the dispatch", error=str(error))
            return EXIT_BROKEN
        except Exception as error:  # noqa: BLE001 - whatever broke, the client is told, and told now
            _log.exception("the harness failed")
            return self._report_failure(error)
        finally:
            self._clear_away()
        return EXIT_DONE

    def _work(self) -> Outcome:
        """Run the agent. Raises `Stopped` when nothing may or should be reported."""
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
        self._learn({**self._secrets, **searched})
        for name, value in self._secrets.items():
            if why := searchable(value):
                self._tell(f"logs and results are not searched for the value of {name}: {why}", "warning")
        if self._archive is not None and self._archive.restore(self._workspace):
            self._tell("unpacked the workspace as its last run left it")
            self._workspace.resume()
        else:
            self._tell(f"cloning {spec.repo}" if spec.repo else "preparing an empty repository")
            self._workspace.prepare(spec, self._stop, self._forge_token)
            self._report_clone()
        self._context = lay_out_context(self._workspace, self._store, self._assignment, Redactor(self._known))
        record = self._context.record
        if record.notes:
            self._tell(f"context: {record.used_tokens} of {record.budget_tokens} tokens, {len(record.notes)} notes")
        self._write_task(self._context.text)
        self._agent.prepare(self._secrets)
        if files := self._agent.settings_files:
            self._tell(f"the platform's settings of {spec.agent} come before those of {', '.join(files)}")
        commit = self._workspace.commit_before
        self._tell(f"workspace ready at {commit}" if commit else "workspace ready; the repository has no commit")

    def _write_task(self, context: str) -> None:
        """Write the task for its program: an agent with a model finds the context before it."""
        has_model = CATALOGUE[self._assignment.spec.agent].provider is not None
        task = prompt_of(self._assignment.task, context) if has_model else script_of(self._assignment.task)
        for note in task.notes:
            self._tell(note)
        self._workspace.write_task(task.text)

    def _report_clone(self) -> None:
        """Log how the clone differs from what the request lets expect."""
        repo, base_url = self._assignment.spec.repo, self._settings.git_base_url
        if self._workspace.url and repo and self._workspace.url != clone_url(repo, base_url):
            self._tell(f"the repository is now {forge_repository(self._workspace.url, base_url)}")
        if pointers := self._workspace.lfs_pointers:
            shown = ", ".join(pointers[:5]) + ", ..." * (len(pointers) > 5)
            self._tell(f"{len(pointers)} files are in Git LFS and were not fetched, only their pointers: {shown}")

    def _run_agent(self) -> Outcome:
        self._started_at = now()
        self._tell("agent started")
        try:
            evidence = self._agent.run(self._isolation, self._stop, self._on_message)
        except StartError as error:
            return failed(ReasonCode.AGENT_START_FAILED, f"{error}.")
        self._end = evidence.end
        lingered = "agent ended: it did not exit after its final event"
        self._tell(lingered if self._end.exit_code is None else f"agent exited {self._end.exit_code}")
        if self._end.stopped is Cause.LOST:
            raise Stopped(Cause.LOST)
        if self._end.by_itself:
            self._lease.ended(self._end.exit_code)
        return naming_settings(decide_outcome(evidence), evidence, self._agent.settings_files)

    def _on_message(self, message: Message) -> None:
        """Put a message of the agent into the log, line by line, and where it says how far it is, into the progress."""
        lines = [self._log.write(LogSource.AGENT, line) for line in lines_of(message.text)]
        if message.progress:
            self._lease.progress = next((line for line in lines if line.strip()), None)

    def _use(self, credentials: Credentials, bedrock: Credentials | None) -> None:
        """Take new credentials over."""
        self._store.use(credentials)
        if bedrock is not None:
            self._agent.use(bedrock)

    def _learn(self, secrets: Mapping[str, str]) -> None:
        """Keep these out of everything that is written from now on."""
        self._known |= secrets
        self._log.know_secrets(self._known)

    def _forge_token(self) -> str | None:
        """Return a token for one call of git. Raises `ForgeTokenError`, `Stopped`."""
        token = self._lease.forge_token() if self._assignment.forge else None
        self._learn({f"forge-token-{len(self._known)}": token} if token else {})  # the last one is still valid
        return token

    def _leave_results(self, outcome: Outcome) -> Outcome:
        """Store patch, log and summary, in this order. Raises `Stopped` after the checkpoint of a terminated run."""
        self._lease.check()
        terminated = self._end is not None and self._end.stopped is Cause.TERMINATED
        if self._end is not None:
            if self._archive is not None and not terminated:
                outcome = self._keep_workspace(self._archive, outcome, seconds=300 if self._end.by_itself else 20)
            # Others wait for an agent that was stopped: ECS 120 s, the sweep 120 s after the time limit.
            outcome = self._collect(outcome, seconds=600 if self._end.by_itself else 45)
        if terminated:
            self._tell("the worker is being stopped; this is the last checkpoint", "error")
        elif outcome.status is not Status.SUCCESS:
            self._tell(outcome.reason.message, "error")
        try:
            self._upload(seconds=20 if terminated else 120)
            if terminated:
                raise Stopped(Cause.TERMINATED)
            self._store.put_summary(self._summary(outcome))
        except UploadError as error:
            self._log.abandon()
            too_large = isinstance(error, TooLargeError)
            code = ReasonCode.ARTIFACT_TOO_LARGE if too_large else ReasonCode.UPLOAD_FAILED
            return without_results(outcome, code, f"{error}.")
        return outcome

    def _keep_workspace(self, archive: Archive, outcome: Outcome, seconds: float) -> Outcome:
        """Write the workspace back, before the patch is collected, which may delete pipes."""
        try:
            size = archive.save(self._workspace, seconds)
        except ArchiveError as error:
            self._tell(f"{error}; it stays as it was before this run", "error")
            full = isinstance(error, ArchiveFullError)
            code = ReasonCode.WORKSPACE_FULL if full else ReasonCode.WORKSPACE_UNAVAILABLE
            return without_results(outcome, code, f"{error}.")
        self._lease.saved(size)
        self._tell(f"kept the workspace: {size / 2**20:.1f} MiB")
        return outcome

    def _collect(self, outcome: Outcome, seconds: float) -> Outcome:
        """Read the patch; a run without its patch is no success."""
        try:
            patch = Collector(
                self._workspace, SecretScan(self._known), seconds, self._assignment.spec.collect
            ).collect()
        except CollectError as error:
            self._tell(f"the patch could not be collected: {error}", "error")
            return without_results(outcome, ReasonCode.INTERNAL_ERROR, f"The patch could not be collected: {error}")
        self._patch = patch
        self._tell("1 file changed" if patch.files_changed == 1 else f"{patch.files_changed} files changed")
        for line in patch.collection.describe():
            self._tell(line, "warning")
        return self._note_findings(patch.findings, outcome)

    def _note_findings(self, findings: Findings, outcome: Outcome) -> Outcome:
        """Put into the log which results hold secrets; none is changed for it."""
        if findings.withheld:
            self._tell(f"{' and '.join(findings.withheld)} withheld: {findings.describe(known=True)}", "warning")
        if findings.formats:
            self._tell(f"in the format of a secret: {findings.describe(known=False)}", "warning")
        return withholding(outcome, findings)

    def _upload(self, seconds: float) -> None:
        self._log.close(seconds)
        if self._end is not None:
            self._store.put_file(Artifact.OUTPUT, self._workspace.private / "output.log")
        if self._context is not None and self._context.record.notes:
            self._store.put_file(Artifact.CONTEXT, self._context.file)
        if self._patch is not None:
            if self._patch.findings:  # first: of whatever is withheld it can be seen why
                self._store.put_findings(self._patch.findings)
            for artifact, file in {Artifact.PATCH: self._patch.file, **self._patch.more}.items():
                self._store.put_file(artifact, file, withheld=artifact in self._patch.findings.withheld)

    def _summary(self, outcome: Outcome) -> Summary:
        assignment, patch = self._assignment, self._patch
        return Summary(
            dispatch_id=assignment.dispatch_id,
            tenant_id=assignment.tenant_id,
            attempt=assignment.lease.token,
            worker_id=assignment.lease.worker_id,
            agent=assignment.spec.agent,
            model_id=assignment.spec.model_id,
            repo=assignment.spec.repo,
            commit_before=self._workspace.commit_before,
            commit_after=patch.commit_after if patch else None,
            outcome=outcome.status,
            reason=self._reason(outcome),
            exit_code=outcome.exit_code,
            started_at=self._started_at,
            ended_at=now(),
            usage=self._usage,
            final_message=self._final_message(),
            log_tail=self._tail(outcome),
            files_changed=patch.files_changed if patch else 0,
            collection=self._collection,
            patch_bytes=patch.file.stat().st_size if patch else 0,
            findings=(patch.findings or None) if patch else None,
        )

    def _final_message(self) -> str | None:
        message = self._agent.final_message
        lines = lines_of(message or "")
        return Redactor(self._known).text("\n".join(lines))[:FINAL_MESSAGE_LENGTH] or None

    @cached_property
    def _usage(self) -> Usage:
        """What it took so far: asked once, for summary and report alike."""
        ran = self._end.duration_seconds if self._end else 0
        held = time.monotonic() - self._claimed
        return usage_of(self._agent.meter, self._identity, ran, held, self._settings.capacity)

    def _report(self, outcome: Outcome) -> None:
        findings = self._patch.findings.brief() if self._patch else None
        collection = self._collection.brief() if self._patch else None
        tail = self._tail(outcome)
        self._lease.report(
            outcome.status, self._reason(outcome), outcome.exit_code, self._usage, tail, findings, collection
        )

    def _reason(self, outcome: Outcome) -> Reason:
        clean = Redactor(self._known).text(outcome.reason.message)
        return outcome.reason.model_copy(update={"message": clean})

    @cached_property
    def _collection(self) -> Collection:
        """What was kept and left out, without secrets: for summary and report alike."""
        collection = self._patch.collection if self._patch else Collection()
        return collection.clean(Redactor(self._known).text)

    def _tail(self, outcome: Outcome) -> str | None:
        return None if outcome.status is Status.SUCCESS else self._log.tail

    def _report_failure(self, error: Exception) -> int:
        """Tell the client that it was not the task's fault; the details are in the worker's own log."""
        try:
            self._report(failed(ReasonCode.INTERNAL_ERROR, f"The harness failed: {type(error).__name__}."))
        except BrokerError as unreported:
            _log.error("the failure could not be reported either", error=str(unreported))
        return EXIT_BROKEN

    def _tell(self, message: str, level: str = "info") -> None:
        """Put an event of the harness into the log and the progress."""
        self._lease.progress = self._log.write(LogSource.EXECUTOR, message, level)

    def _clear_away(self) -> None:
        self._log.abandon()
        self._agent.close()
        try:
            end_all(self._isolation, keep=0)
            self._workspace.remove()
        except (IsolationError, subprocess.SubprocessError, OSError) as error:
            _log.warning("the workspace was not removed; it goes with the container", error=str(error))
