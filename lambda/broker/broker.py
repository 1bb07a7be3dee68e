"""The broker: it alone writes for workers. It picks their work, knows their leases, and mints their credentials."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from broker.forge import Forge
from broker.grants import Grants
from outpost.domain.agents import CATALOGUE, Agent, AgentSettings
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch, Lease, Status
from outpost.domain.lifecycle import Event, Expire, Finish, Progress, Report, Start, TransitionError
from outpost.domain.protocol import (
    Assignment,
    BedrockAccess,
    ClaimAnswer,
    ClaimRequest,
    EndedRequest,
    ForgeTokenAnswer,
    ForgeTokenRequest,
    GrantAnswer,
    GrantRequest,
    LeaseAnswer,
    RenewRequest,
    ReportRequest,
    Request,
    SavedRequest,
    StartedRequest,
)
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workspaces import QUOTAS, room
from outpost.store.artifacts import Artifacts
from outpost.store.credentials import AttemptCredentials, PolicyRefusedError
from outpost.store.database import ConflictError, ContentionError
from outpost.store.dispatches import Dispatches
from outpost.store.forge import ForgeError
from outpost.store.launches import Launches
from outpost.store.tenants import Tenants
from outpost.store.workers import Slots, Worker, Workers, WorkerState
from outpost.store.workspaces import Workspaces

logger = Logger(service="broker")

CANDIDATES = 8
"""How many of a tenant's oldest dispatches a claim may choose from when others claim at the same time."""
LINGER = timedelta(seconds=20)
"""An idle worker beyond the warm target stays this long: the next task of a burst then starts at once."""


@dataclass(frozen=True)
class Candidate:
    """A tenant with work for the agent and a free slot."""

    slots: Slots
    queued: list[str]
    free: list[int]


@dataclass(frozen=True)
class Broker:
    """Answers the workers' requests."""

    dispatches: Dispatches
    workers: Workers
    tenants: Tenants
    workspaces: Workspaces
    artifacts: Artifacts
    credentials: AttemptCredentials
    launches: Launches
    agents: Mapping[Agent, AgentSettings]
    grants: Grants
    now: Callable[[], datetime]
    forge: Forge | None = None

    def answer(self, request: Request) -> ClaimAnswer | LeaseAnswer | ForgeTokenAnswer | GrantAnswer:
        """Answer one request. A lease that is no longer live is an answer, not an error."""
        match request:
            case ClaimRequest():
                return self._claim(request)
            case RenewRequest():
                return self._renew(request)
            case SavedRequest():
                return self._saved(request)
            case ForgeTokenRequest():
                return self._forge_token(request)
            case GrantRequest():
                row = self.dispatches.get(request.dispatch_id)
                return self.grants.handle(request, row, self.tenants.get(row.tenant_id) if row else None, self.now())
            case StartedRequest() | EndedRequest() | ReportRequest():
                return self._advance(request)

    def _claim(self, request: ClaimRequest) -> ClaimAnswer:
        settings = self.agents.get(Agent(request.agent))
        if settings is None:  # disabled since the worker was launched
            return ClaimAnswer(retire=True)
        try:
            worker = self.workers.idle(
                Worker(
                    worker_id=request.worker_id,
                    task_arn=request.task_arn,
                    agent=Agent(request.agent),
                    revision=request.revision,
                    worker_state=WorkerState.IDLE,
                    launched_at=self.now(),
                ),
            )
        except ConflictError:
            return self._repeat(Agent(request.agent), request.worker_id)
        self.launches.succeeded(Agent(request.agent), worker.launched_at)
        failure = None
        for candidate in self._candidates(Agent(request.agent)):
            try:
                assignment = self._assign(worker, candidate)
            except (
                BotoCoreError,
                ClientError,
                ContentionError,
            ) as error:  # what one tenant's dispatch needs holds up no other tenant
                logger.exception("a dispatch could not be prepared")
                failure = error
                continue
            if assignment:
                return ClaimAnswer(assignment=assignment)
        if failure:
            raise failure
        alive = self.workers.alive(Agent(request.agent))
        spare = retires(worker, alive, settings.warm_at(self.now()), self.now())
        return ClaimAnswer(retire=worker.retiring or spare)

    def _assign(self, worker: Worker, candidate: Candidate) -> Assignment | None:
        """Let the worker claim one of the tenant's dispatches; return what it needs, or None when others were quicker.

        All that may fail comes before the claim is written: a failure costs no attempt and leaves nothing claimed.
        """
        prepared: list[Assignment] = []
        try:
            row = self.workers.claim(
                worker,
                candidate.queued,
                candidate.free,
                self.now(),
                before_commit=lambda row: prepared.append(self._assignment(row)),
            )
        except PolicyRefusedError as refused:
            # Every worker would fail at it: it ends, and holds up nobody.
            logger.exception("a dispatch cannot be given to any worker", extra={"dispatch": refused.dispatch_id})
            reason = Reason.of(ReasonCode.INTERNAL_ERROR, f"No credentials could be made: {refused}")
            with suppress(TransitionError):  # another worker was quicker to end it
                self.dispatches.change(refused.dispatch_id, Expire(reason, self.now()))
            return None
        return prepared[-1] if row else None

    def _repeat(self, agent: Agent, worker_id: str) -> ClaimAnswer:
        """A worker that has claimed before gets the same work again, if the answer was lost, and never other work."""
        worker = self.workers.get(agent, worker_id)
        row = self.dispatches.get(worker.dispatch_id) if worker and worker.dispatch_id else None
        if (
            row is None
            or row.lease is None
            or row.lease.worker_id != worker_id
            or row.status is not Status.PROVISIONING
        ):
            return ClaimAnswer(retire=True)
        return ClaimAnswer(assignment=self._assignment(row))

    def _candidates(self, agent: Agent) -> list[Candidate]:
        """Return the tenants that may be served: least recently served first, then the oldest dispatch."""
        found = []
        for tenant_id in self.dispatches.live.tenants(agent):
            tenant = self.tenants.get(tenant_id)
            if tenant is None or tenant.status != "active":
                continue
            slots = self.workers.slots(tenant_id)
            free = slots.free(tenant.limits.concurrent)
            queued = self.dispatches.live.queued(agent, tenant_id, limit=CANDIDATES) if free else []
            if queued:
                found.append(Candidate(slots, queued, free))
        return sorted(found, key=lambda candidate: (candidate.slots.last_served, candidate.queued[0]))

    def _assignment(self, row: Dispatch) -> Assignment:
        if row.lease is None:
            raise ValueError(f"dispatch {row.id} is {row.status}: nobody holds it")
        secrets, searched = self._secrets(row), self._searched_secrets(row)
        arns = _arns(secrets | searched)
        return Assignment(
            dispatch_id=row.id,
            tenant_id=row.tenant_id,
            lease=row.lease,
            spec=row.spec,
            task=self.dispatches.task(row.id),
            bucket=self.credentials.bucket,
            prefix=attempt_prefix(row.tenant_id, row.id, row.attempt),
            secrets=secrets,
            searched_secrets=searched,
            token_budget=self.agents[row.spec.agent].token_budget,
            dollar_budget=self.grants.needed(row, self.tenants.get(row.tenant_id)),
            earlier_cost=row.spending.earlier,
            models=self.agents[row.spec.agent].models,
            context=self.artifacts.context_keys(row.tenant_id) if row.spec.kind == "task" else (),
            no_progress_seconds=(
                self.agents[row.spec.agent].no_progress_seconds or CATALOGUE[row.spec.agent].no_progress_seconds
            ),
            workspace_room=self._room(row),
            forge=self.forge is not None and self.forge.serves(row.spec),
            credentials=self.credentials.mint(row, arns),
            secret_credentials=self.credentials.mint_for_secrets(row, arns),
            bedrock=self._bedrock(row),
        )

    def _bedrock(self, row: Dispatch) -> BedrockAccess | None:
        """Return what the attempt's model calls are signed with, where its agent's models are at Bedrock."""
        settings = self.agents.get(row.spec.agent)  # None: disabled since the dispatch was started
        if settings is None or settings.bedrock_region is None or row.spec.promotes:
            return None
        region = settings.bedrock_region
        models = settings.models.values()
        return BedrockAccess(region=region, credentials=self.credentials.mint_for_models(row, models, region))

    def _secrets(self, row: Dispatch) -> dict[str, str]:
        if row.spec.promotes:
            return {}
        settings = self.agents.get(row.spec.agent)  # None: disabled since the dispatch was started
        arn = settings.provider_secret_arn if settings else None
        given = {CATALOGUE[row.spec.agent].token_variables[0]: arn} if arn else {}
        known = self.tenants.secrets(row.tenant_id) if row.spec.additional_secrets else {}
        # One that was deleted meanwhile stays in the list: the worker cannot read it, and says so.
        return given | {name: known[name].arn if name in known else name for name in row.spec.additional_secrets}

    def _searched_secrets(self, row: Dispatch) -> dict[str, str]:
        """Return the secrets that earlier dispatches in the workspace were given, and this one is not."""
        workspace = self.workspaces.get(row.tenant_id, row.spec.workspace_id) if row.spec.workspace_id else None
        names = workspace.secrets - set(row.spec.additional_secrets) if workspace else set()
        known = self.tenants.secrets(row.tenant_id) if names else {}
        return {name: known[name].arn for name in sorted(names) if name in known}

    def _renew(self, request: RenewRequest) -> LeaseAnswer:
        row = self.dispatches.get(request.dispatch_id)
        if row is None or row.lease != request.lease:
            return LeaseAnswer(live=False)
        try:
            self.workers.beat(row.spec.agent, request.lease)
            if request.progress and request.progress != row.progress:
                row = self.dispatches.change(row.id, Progress(request.lease, request.progress))
        except (ConflictError, TransitionError):
            return LeaseAnswer(live=False)
        cancel = row.cancel_requested_at is not None
        if not request.want_credentials:
            return LeaseAnswer(live=True, cancel=cancel)
        bedrock = self._bedrock(row)
        return LeaseAnswer(
            live=True,
            cancel=cancel,
            credentials=self.credentials.mint(row, _arns(self._secrets(row))),
            bedrock_credentials=bedrock.credentials if bedrock else None,
        )

    def _saved(self, request: SavedRequest) -> LeaseAnswer:
        row = self.dispatches.get(request.dispatch_id)
        if row is None or row.lease != request.lease:
            return LeaseAnswer(live=False)
        try:
            self.workspaces.saved(row, request.size_bytes, self.now())
        except ConflictError:
            return LeaseAnswer(live=False)
        return LeaseAnswer(live=True, cancel=row.cancel_requested_at is not None)

    def _forge_token(self, request: ForgeTokenRequest) -> ForgeTokenAnswer:
        row = self.dispatches.get(request.dispatch_id)
        tenant = self.tenants.get(row.tenant_id) if row else None
        if row is None or row.lease != request.lease or tenant is None:
            return ForgeTokenAnswer(live=False)
        try:
            token = self.forge.token(row.spec, tenant) if self.forge else None
        except ForgeError as error:
            # Not a failure of this function: those are repeated, and ring an alarm.
            return ForgeTokenAnswer(live=True, refused=str(error))
        return ForgeTokenAnswer(live=True, token=token)

    def _room(self, row: Dispatch) -> int | None:
        tenant = self.tenants.get(row.tenant_id) if row.spec.workspace_id else None
        if tenant is None or row.spec.workspace_id is None:
            return None
        return room(self.workspaces.all(row.tenant_id), QUOTAS[tenant.tier], row.spec.workspace_id)

    def _advance(self, request: StartedRequest | EndedRequest | ReportRequest) -> LeaseAnswer:
        event, goal = _step(request, self.now())
        try:
            row = self.dispatches.change(request.dispatch_id, event)
        except TransitionError:
            # Either the lease is stale, or this is the repetition of a request whose answer was lost.
            found = self.dispatches.get(request.dispatch_id)
            if found is None or not _arrived(found, request.lease, goal):
                return LeaseAnswer(live=False)
            row = found
        return LeaseAnswer(live=True, cancel=row.cancel_requested_at is not None)


def _step(request: StartedRequest | EndedRequest | ReportRequest, at: datetime) -> tuple[Event, Status]:
    """Return what a request does to the row, and the state that this leads to."""
    match request:
        case StartedRequest(lease=lease):
            return Start(lease, at), Status.RUNNING
        case EndedRequest(lease=lease, exit_code=exit_code):
            return Finish(lease, exit_code, at), Status.COMPLETING
        case ReportRequest(lease=lease, outcome=outcome, reason=reason, exit_code=exit_code):
            return (
                Report(
                    lease,
                    outcome,
                    reason,
                    at,
                    exit_code,
                    request.usage,
                    request.log_tail,
                    request.findings,
                    request.collection,
                ),
                outcome,
            )


def _arns(secrets: Mapping[str, str]) -> list[str]:
    return [arn for arn in secrets.values() if arn.startswith("arn:")]


def _arrived(row: Dispatch, lease: Lease, goal: Status) -> bool:
    return row.status is goal and (row.worker_id, row.attempt) == (lease.worker_id, lease.token)


def retires(worker: Worker, alive: list[Worker], warm: int, at: datetime) -> bool:
    """Say whether an idle worker that found nothing leaves: the newest `warm` stay, others linger a little."""
    idle = sorted(
        (w for w in alive if w.worker_state is WorkerState.IDLE),
        key=lambda w: (w.launched_at, w.worker_id),
        reverse=True,
    )
    kept = {w.worker_id for w in idle[:warm]}
    idle_since = worker.idle_since or at
    return worker.worker_id not in kept and at - idle_since >= LINGER
