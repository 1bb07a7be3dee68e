"""One attempt at a dispatch, from the assignment to the report.

    secrets, clone -> `started` -> the agent -> `ended` -> patch, log, summary -> `report`

Cancelled, timed out or never started, the report follows from where the run stands, without `ended`. On SIGTERM the
agent is stopped and what there is becomes the last checkpoint: log and patch, but neither summary nor report, because
the outcome is not ours to say. The end of this task then closes the dispatch as WORKER_LOST, or gives it back.
"""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial

import structlog

from outpost.domain.artifacts import LogSource, Summary
from outpost.domain.dispatch import Status, Usage
from outpost.domain.lifecycle import cancellation
from outpost.domain.protocol import Assignment, Credentials, ReportRequest
from outpost.domain.reasons import ReasonCode
from worker.agent_session import AgentSession
from worker.archive import Archive, ArchiveError, ArchiveFullError
from worker.broker import Broker, BrokerError
from worker.isolation import Isolation, IsolationError, end_all
from worker.lease import Lease, heartbeats
from worker.limits import HeldRoom
from worker.logs import RunLog
from worker.model_proxy.meter import usage_of
from worker.model_proxy.purse import GrantError, Purse
from worker.outcome import Outcome, failed, without_results
from worker.results import Results
from worker.settings import Identity, Settings
from worker.stop import Cause, Stopped, StopSignal
from worker.store import AttemptStore, UnconfirmedError
from worker.workspace import Workspace

EXIT_DONE = 0
EXIT_BROKEN = 1
EXIT_LOST = 75
EXIT_TERMINATED = 143

UPLOAD_SECONDS = 1_700.0
"""From the agent's end to that of its uploads: the sweep closes the dispatch after 30 minutes."""
OUTAGE_SECONDS = 7_200.0
"""The longest outage of the broker that a worker with results and without live credentials waits for."""
REPORT_SECONDS = 120.0
"""How long an outcome is reported that the stored summary names too: after the end of this task that closes the
dispatch."""

_log = structlog.get_logger()


class Attempt(ABC):
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
        self._claimed = self._ended = time.monotonic()
        self._isolation = isolation
        self._stop = stop
        self._store = AttemptStore(assignment)
        self._lease = Lease(broker, assignment, stop, self._use)
        self._store.check, self._store.confirm = self._lease.check, self._lease.confirm
        self._workspace = Workspace(settings, isolation)
        self._archive = Archive(settings.workspaces, assignment) if assignment.spec.workspace_id else None
        self._held_room = HeldRoom(self._workspace.private / "held-room")
        self._log = RunLog(self._store, self._workspace.private / "output.log")
        self._known: dict[str, str] = {}
        self._register_secrets({"attempt-credentials": assignment.credentials.secret_access_key})
        if assignment.bedrock:
            self._register_secrets({"bedrock-credentials": assignment.bedrock.credentials.secret_access_key})
        self._secrets: Mapping[str, str] = {}
        self._results = Results(assignment, self._workspace, self._store, self._log, self._known, self._log_event)
        self._agent = AgentSession(
            assignment, settings, self._workspace, self._store, self._register_secrets, self._purse()
        )

    def _purse(self) -> Purse | None:
        """Return what holds the money for model calls, where a budget in dollars applies."""
        if not self._assignment.dollar_budget:
            return None
        spec, earlier = self._assignment.spec, self._assignment.earlier_cost
        return Purse(self._lease.grant, lambda text: self._log_event(text, "warning"), spec, earlier)

    def run(self) -> int:
        """Do it all, and return the worker's exit code."""
        try:
            with heartbeats(self._lease):
                return self._run()
        finally:
            self._clean_up()

    @abstractmethod
    def _work(self) -> Outcome:
        """Do what the assignment asks for. Raises `Stopped` when nothing may or should be reported."""

    def _run(self) -> int:
        try:
            self._report(self._leave_results(self._work()))
        except Stopped as stopped:
            _log.info("stopped", cause=stopped.cause.value)
            return EXIT_LOST if stopped.cause is Cause.LOST else EXIT_TERMINATED
        except BrokerError as error:
            _log.error("the broker does not respond", summary_stored=self._results.stored, error=str(error))
            return EXIT_BROKEN
        except UnconfirmedError as error:
            _log.error("whether the summary is stored is not known; it is read after this task", error=str(error))
            return EXIT_BROKEN
        except Exception as error:  # noqa: BLE001 - whatever broke, the client is told, and told now
            _log.exception("the harness failed")
            return self._report_failure(error)
        return EXIT_DONE

    def _use(self, credentials: Credentials, bedrock: Credentials | None) -> None:
        """Take new credentials over."""
        self._store.use(credentials)
        if bedrock is not None:
            self._agent.use(bedrock)

    def _register_secrets(self, secrets: Mapping[str, str]) -> None:
        """Keep these out of everything that is written from now on."""
        self._known |= secrets
        self._log.know_secrets(self._known)

    def _forge_token(self) -> str | None:
        """Return a token for one call of git. Raises `ForgeTokenError`, `Stopped`."""
        token = self._lease.forge_token() if self._assignment.forge else None
        self._register_secrets(
            {f"forge-token-{len(self._known)}": token} if token else {}
        )  # the last one is still valid
        return token

    def _leave_results(self, outcome: Outcome) -> Outcome:
        """Store patch, log and summary, in this order. Raises `Stopped` after the checkpoint of a terminated run."""
        self._lease.check()
        if outcome.status is Status.CANCELLED:
            outcome = replace(outcome, reason=cancellation(self._lease.cancel_reason))
        results, end = self._results, self._results.end
        self._held_room.release()
        terminated = end is not None and end.stopped is Cause.TERMINATED
        if end is not None:
            if self._archive is not None and not terminated:
                outcome = self._keep_workspace(self._archive, outcome, seconds=300 if end.by_itself else 20)
            # Others wait for an agent that was stopped: ECS 120 s, the sweep 120 s after the time limit.
            outcome = results.collect(outcome, seconds=600 if end.by_itself else 45)
        if terminated:
            unchanged = "; the workspace stays as it was before this run" if self._archive is not None else ""
            self._log_event(f"the worker is being stopped; this is the last checkpoint{unchanged}", "error")
            results.upload(outcome, 20, None)
            self._give_back()
            raise Stopped(Cause.TERMINATED)
        if outcome.status is not Status.SUCCESS:
            self._log_event(outcome.reason.message, "error")
        return results.upload(outcome, self._upload_seconds(), partial(self._summary, outcome))

    def _upload_seconds(self) -> float:
        """Return how long results are uploaded: others wait for an agent that was stopped, or never started.

        The sweep's limit counts from when the broker knows of the agent's end. Until then only credentials can be
        missing, which come once the broker responds.
        """
        end = self._results.end
        if end is None or not end.by_itself:
            return 120
        return max(120, UPLOAD_SECONDS - (time.monotonic() - self._ended)) if self._lease.up_to_date else OUTAGE_SECONDS

    def _give_back(self) -> None:
        """Report what was spent, as no report will: the rest of the grant is for the next attempt."""
        try:
            if self._assignment.dollar_budget:
                self._lease.give_back(self._agent.meter.committed_micros)
        except GrantError as error:
            _log.warning("what is left of the grant was not given back", error=str(error))

    def _keep_workspace(self, archive: Archive, outcome: Outcome, seconds: float) -> Outcome:
        """Write the workspace back, before the patch is collected, which may delete pipes."""
        try:
            size = archive.save(self._workspace, seconds, self._lease.reserve)
        except ArchiveError as error:
            self._log_event(f"{error}; it stays as it was before this run", "error")
            full = isinstance(error, ArchiveFullError)
            code = ReasonCode.WORKSPACE_FULL if full else ReasonCode.WORKSPACE_UNAVAILABLE
            return without_results(outcome, code, f"{error}.")
        self._lease.saved(size)
        self._log_event(f"kept the workspace: {size / 2**20:.1f} MiB")
        return outcome

    def _summary(self, outcome: Outcome) -> Summary:
        return self._results.summary(outcome, self._usage, self._agent.final_message)

    @cached_property
    def _usage(self) -> Usage:
        """What it took so far: asked once, for summary and report alike."""
        end = self._results.end
        ran, held = end.duration_seconds if end else 0, time.monotonic() - self._claimed
        return usage_of(self._agent.meter, self._identity, ran, held, self._settings.capacity)

    def _report(self, outcome: Outcome) -> None:
        results, patch = self._results, self._results.patch
        request = ReportRequest(
            dispatch_id=self._assignment.dispatch_id,
            lease=self._assignment.lease,
            outcome=outcome.status,
            reason=results.reason(outcome),
            exit_code=outcome.exit_code,
            usage=self._usage,
            log_tail=results.tail(outcome),
            findings=patch.findings.brief() if patch else None,
            collection=results.collection.brief() if patch else None,
        )
        self._lease.report(request, REPORT_SECONDS if results.stored else None)

    def _report_failure(self, error: Exception) -> int:
        """Report that it was not the task's fault; the details are in the worker's own log.

        What a stored summary says stays so: after the end of this task it closes the dispatch.
        """
        if self._results.sent:
            return EXIT_BROKEN
        try:
            self._report(failed(ReasonCode.INTERNAL_ERROR, f"The harness failed: {type(error).__name__}."))
        except (BrokerError, Stopped) as unreported:
            _log.error("the failure could not be reported either", error=str(unreported))
        return EXIT_BROKEN

    def _log_event(self, message: str, level: str = "info") -> None:
        """Put an event of the harness into the log and the progress."""
        self._lease.progress = self._log.write(LogSource.EXECUTOR, message, level)

    def _clean_up(self) -> None:
        self._log.abandon()
        self._agent.close()
        try:
            end_all(self._isolation, keep=0)
            self._workspace.remove()
        except (IsolationError, subprocess.SubprocessError, OSError) as error:
            _log.warning("the workspace was not removed; it goes with the container", error=str(error))
