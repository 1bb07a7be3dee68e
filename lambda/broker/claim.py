"""A claim: a verified worker gets one dispatch in its life."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from broker.assignment import Assignments
from broker.candidates import Candidate, Candidates
from broker.credentials import PolicyRefusedError
from broker.identity import ForeignWorkerError, Identities, NoProofError
from outpost.aws.caller_identity import StsError
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import Expire, Lose, TransitionError
from outpost.domain.protocol import Assignment, ClaimRequest, ClaimResponse
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.store import Store
from outpost.store.database import ConflictError

logger = Logger(service="broker")

CHOOSING = timedelta(seconds=3)
"""How long a claim tries others after one failed: what is tried then still ends within the function's time."""
LINGER = timedelta(seconds=20)
"""An idle worker beyond the warm target stays this long: the next task of a burst then starts at once."""


@dataclass(frozen=True)
class Claims:
    """Handles claims."""

    store: Store
    candidates: Candidates
    identities: Identities
    assignments: Assignments
    agents: Mapping[Agent, AgentSettings]
    now: Callable[[], datetime]

    def claim(self, request: ClaimRequest) -> ClaimResponse:
        """Return work, or that there is none now, or that the worker is to leave."""
        agent = next((agent for agent in self.agents if agent == request.agent), None)
        if agent is None:  # disabled since the worker was launched
            return ClaimResponse(retire=True)
        try:
            worker = self._verified(request, agent)
            if worker is None:
                return ClaimResponse()
            worker = self.store.workers.idle(worker)
        except NoProofError as why:
            logger.warning("a worker is retired", extra={"worker": request.worker_id, "why": str(why)})
            return ClaimResponse(retire=True)
        except ForeignWorkerError as why:
            logger.exception("a claim is refused", extra={"worker": request.worker_id, "why": str(why)})
            return ClaimResponse(retire=True)
        except StsError:
            self.store.workers.note_request(agent, request.worker_id)
            raise
        except ConflictError:
            return self._repeat(agent, request)
        self.store.launches.succeeded(agent, worker.launched_at)
        return self._choose(worker, request.secret_sha256)

    def _verified(self, request: ClaimRequest, agent: Agent) -> Worker | None:
        """Return the worker as it is to be written, or None where ECS cannot say yet what its task is.

        What it is comes from ECS: once a life, then from its row. While ECS does not describe a new task, its row
        counts if the planner wrote it, from the response of RunTask. Raises `ForeignWorkerError`.
        """
        settings, at = self.agents[agent], self.now()
        self.identities.verify_caller(request, settings, at)
        known = self.store.workers.get(agent, request.worker_id)
        if known and known.proven:
            return known
        launched = known if known and known.worker_state is WorkerState.STARTING else None
        try:
            task = self.identities.task(request.worker_id, settings)
        except (BotoCoreError, ClientError):
            if launched is None:
                raise
            logger.exception("ECS does not describe a task; its launch is known")
            task = None
        if task is None:
            return launched and launched.model_copy(update={"proven": True, "launched_at": at})
        return Worker(
            worker_id=request.worker_id,
            task_arn=task.arn,
            agent=agent,
            revision=task.revision,
            worker_state=WorkerState.IDLE,
            launched_at=at,
            proven=True,
        )

    def _choose(self, worker: Worker, secret_sha256: str | None) -> ClaimResponse:
        """Let the worker claim a dispatch of the first tenant that has one; what fails for one holds up no other."""
        until, failure = self.now() + CHOOSING, None
        choice = self.candidates.of(worker.agent, self.now())
        for candidate in choice:
            if failure and self.now() >= until:
                break
            try:
                assignment = self._assign(worker, candidate, secret_sha256)
            except PolicyRefusedError:
                logger.exception("a dispatch can be given to no worker", extra={"tenant": candidate.tenant_id})
                continue
            except Exception as error:
                logger.exception("a dispatch could not be given", extra={"tenant": candidate.tenant_id})
                failure = error
                continue
            if assignment:
                return self._hand_out(assignment)
        if failure:
            raise failure
        warm = self.agents[worker.agent].warm_at(self.now())
        spare = retires(worker, self.store.workers.alive(worker.agent), warm, self.now())
        return ClaimResponse(retire=worker.retiring or spare)

    def _assign(self, worker: Worker, candidate: Candidate, secret_sha256: str | None) -> Assignment | None:
        """Let the worker claim one of the tenant's dispatches; return what it needs, or None when others were quicker.

        All that may fail comes before the claim is written: a failure costs no attempt and leaves nothing claimed.
        """
        prepared: list[Assignment] = []
        row = self.store.claimer.claim(
            worker,
            candidate.queued,
            candidate.free,
            self.now(),
            before_commit=lambda row: prepared.append(self._prepare(row)),
            secret_sha256=secret_sha256,
        )
        return prepared[-1] if row else None

    def _prepare(self, row: Dispatch) -> Assignment:
        """Return what the row's worker will need. A dispatch that fails here is left alone for a while, or ended."""
        try:
            return self.assignments.of(row)
        except PolicyRefusedError as refused:  # every worker would fail at it
            reason = Reason.of(ReasonCode.INTERNAL_ERROR, f"No credentials could be made: {refused}")
            with suppress(TransitionError):  # another worker was quicker to end it
                self.store.dispatches.change(row.id, Expire(reason, self.now()))
            raise
        except Exception:
            self.store.dispatches.postpone(row, self.now())
            raise

    def _repeat(self, agent: Agent, request: ClaimRequest) -> ClaimResponse:
        """Return a worker's work once more, if the response was lost, and never other work."""
        worker = self.store.workers.get(agent, request.worker_id)
        row = self.store.dispatches.get(worker.dispatch_id) if worker and worker.dispatch_id else None
        if (
            row is None
            or row.lease is None
            or row.lease.worker_id != request.worker_id
            or row.secret_sha256 not in (None, request.secret_sha256)
            or row.status is not Status.PROVISIONING
        ):
            return ClaimResponse(retire=True)
        try:
            self.store.workers.beat(agent, row.lease)  # preparing the response may fail again and again
        except ConflictError:
            return ClaimResponse(retire=True)
        return self._hand_out(self.assignments.of(row))

    def _hand_out(self, assignment: Assignment) -> ClaimResponse:
        """Return what was claimed; give it back where its tenant was suspended between the first read and the claim.

        A suspension that is not seen here comes after the claim: it is one of running work.
        """
        tenant = self.store.tenants.get(assignment.tenant_id)
        if tenant is not None and tenant.status == "active":
            return ClaimResponse(assignment=assignment)
        reason = Reason.of(ReasonCode.WORKER_LOST, "The tenant was suspended before the run began.")
        with suppress(TransitionError):  # the reconciler or a cancel was quicker
            self.store.dispatches.change(assignment.dispatch_id, Lose(assignment.lease, reason, self.now()))
        return ClaimResponse(retire=True)


def retires(worker: Worker, alive: list[Worker], warm: int, at: datetime) -> bool:
    """Return whether an idle worker that found nothing leaves: the newest `warm` stay, others linger a little."""
    idle = sorted(
        (w for w in alive if w.worker_state is WorkerState.IDLE and w.proven),
        key=lambda w: (w.launched_at, w.worker_id),
        reverse=True,
    )
    kept = {w.worker_id for w in idle[:warm]}
    idle_since = worker.idle_since or at
    return worker.worker_id not in kept and at - idle_since >= LINGER
