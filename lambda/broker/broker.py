"""The broker: it alone writes for workers. It picks their work, knows their leases, and issues their credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.assignment import Assignments
from broker.candidates import Candidates
from broker.claim import Claims
from broker.credentials import AttemptCredentials
from broker.forge import Forge
from broker.grants import Grants
from broker.identity import Identities, sent_by_holder
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Lease, Status
from outpost.domain.lifecycle import Event, Finish, Progress, Report, Start, TransitionError
from outpost.domain.protocol import (
    ClaimRequest,
    ClaimResponse,
    EndedRequest,
    ForgeTokenRequest,
    ForgeTokenResponse,
    GrantRequest,
    GrantResponse,
    LeaseRequest,
    LeaseResponse,
    RenewRequest,
    ReportRequest,
    Request,
    ReserveRequest,
    ReserveResponse,
    SavedRequest,
    StartedRequest,
)
from outpost.domain.tenants import Tenant
from outpost.domain.workspaces import QUOTAS
from outpost.fleet.forge import ForgeError
from outpost.fleet.store import Store
from outpost.store.database import ConflictError
from outpost.store.live_dispatches import Turns

_STALE = LeaseResponse(live=False)


@dataclass(frozen=True)
class Broker:
    """Handles the workers' requests. A lease that is no longer live is a response, not an error.

    `row` is the request's dispatch, None where there is none or another worker than its holder sends the request.
    """

    store: Store
    agents: Mapping[Agent, AgentSettings]
    credentials: AttemptCredentials
    grants: Grants
    identities: Identities
    now: Callable[[], datetime]
    forge: Forge | None = None

    def handle(
        self, request: Request
    ) -> ClaimResponse | LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse:
        """Handle one request."""
        if isinstance(request, ClaimRequest):
            return self._claims.claim(request)
        row = self._row(request)
        match request:
            case RenewRequest():
                return self._renew(request, row)
            case ReserveRequest() | SavedRequest():
                return self._reserve(request, row) if isinstance(request, ReserveRequest) else self._saved(request, row)
            case ForgeTokenRequest():
                return self._forge_token(request, row)
            case GrantRequest():
                return self.grants.handle(request, row, self._tenant(row), self.now())
            case StartedRequest() | EndedRequest() | ReportRequest():
                return self._advance(request, row)

    @property
    def _claims(self) -> Claims:
        candidates = Candidates(self.store, Turns(self.store.database))
        return Claims(self.store, candidates, self.identities, self._assignments, self.agents, self.now)

    @property
    def _assignments(self) -> Assignments:
        return Assignments(self.store, self.credentials, self.agents, self.grants, self.forge)

    def _row(self, request: LeaseRequest) -> Dispatch | None:
        row = self.store.dispatches.get(request.dispatch_id)
        return row if row and sent_by_holder(request, row) else None

    def _tenant(self, row: Dispatch | None) -> Tenant | None:
        return self.store.tenants.get(row.tenant_id) if row else None

    def _renew(self, request: RenewRequest, row: Dispatch | None) -> LeaseResponse:
        """Count a heartbeat; return whether the lease is live, and new credentials on request.

        A suspended tenant's attempts get no new ones: they end with those that they have, within the hour.
        """
        if row is None or row.lease != request.lease:
            return _STALE
        try:
            self.store.workers.beat(row.spec.agent, request.lease)
            progress = Progress(request.lease, request.progress) if request.progress else None
            if progress and progress.text != row.progress:
                row = self.store.dispatches.change(row.id, progress, known=row)
        except (ConflictError, TransitionError):
            return _STALE
        if not request.want_credentials or self._suspended(row):
            return _live(row)
        credentials, bedrock = self._assignments.renewed(row)
        return _live(row).model_copy(update={"credentials": credentials, "bedrock_credentials": bedrock})

    def _reserve(self, request: ReserveRequest, row: Dispatch | None) -> ReserveResponse:
        """Account for the size of a workspace that is about to be written back, if there is room."""
        tenant = self._tenant(row)
        if row is None or row.lease != request.lease or tenant is None:
            return ReserveResponse(live=False)
        try:
            room = self.store.workspaces.reserve(row, request.size_bytes, QUOTAS[tenant.tier])
        except ConflictError:
            return ReserveResponse(live=False)
        return ReserveResponse(live=True, room=room)

    def _saved(self, request: SavedRequest, row: Dispatch | None) -> LeaseResponse:
        if row is None or row.lease != request.lease:
            return _STALE
        try:
            self.store.workspaces.saved(row, request.size_bytes, self.now())
        except ConflictError:
            return _STALE
        return _live(row)

    def _forge_token(self, request: ForgeTokenRequest, row: Dispatch | None) -> ForgeTokenResponse:
        """Return a token for one call of git, or why there is none."""
        tenant = self._tenant(row)
        if row is None or row.lease != request.lease or tenant is None:
            return ForgeTokenResponse(live=False)
        if tenant.status != "active":
            return ForgeTokenResponse(live=True, refused=f"tenant {tenant.id} is suspended")
        try:
            token = self.forge.token(row.spec, tenant) if self.forge else None
        except ForgeError as error:
            # Not a failure of this function: those are repeated, and ring an alarm.
            return ForgeTokenResponse(live=True, refused=str(error))
        return ForgeTokenResponse(live=True, token=token)

    def _advance(self, request: StartedRequest | EndedRequest | ReportRequest, row: Dispatch | None) -> LeaseResponse:
        """Apply a step of the run to the row. A start is a heartbeat too, which a worker declared lost cannot send."""
        if row is None:
            return _STALE
        agent, (event, goal) = row.spec.agent, _step(request, self.now())
        starts = goal is Status.RUNNING
        try:
            also = [self.store.workers.beating(agent, request.lease)] if starts else []
            row = self.store.dispatches.change(row.id, event, also, known=row)
        except ConflictError:
            return _STALE
        except TransitionError:
            # Either the lease is stale, or this is the repetition of a request whose response was lost.
            found = self.store.dispatches.get(request.dispatch_id)
            if found is None or not _arrived(found, request.lease, goal) or (starts and not self._beats(found)):
                return _STALE
            row = found
        return _live(row)

    def _beats(self, row: Dispatch) -> bool:
        """Count a heartbeat of the row's holder; return whether it is not declared lost."""
        try:
            if row.lease:
                self.store.workers.beat(row.spec.agent, row.lease)
        except ConflictError:
            return False
        return True

    def _suspended(self, row: Dispatch) -> bool:
        tenant = self._tenant(row)
        return tenant is None or tenant.status != "active"


def _live(row: Dispatch) -> LeaseResponse:
    return LeaseResponse(live=True, cancel=row.cancel_requested_at is not None, cancel_reason=row.cancel_reason)


def _step(request: StartedRequest | EndedRequest | ReportRequest, at: datetime) -> tuple[Event, Status]:
    """Return what a request does to the row, and the state that this leads to."""
    match request:
        case StartedRequest(lease=lease):
            return Start(lease, at), Status.RUNNING
        case EndedRequest(lease=lease, exit_code=exit_code):
            return Finish(lease, exit_code, at), Status.COMPLETING
        case ReportRequest(lease=lease, outcome=outcome):
            report = Report(
                lease,
                outcome,
                request.reason,
                at,
                request.exit_code,
                request.usage,
                request.log_tail,
                request.findings,
                request.collection,
            )
            return report, outcome


def _arrived(row: Dispatch, lease: Lease, goal: Status) -> bool:
    return row.status is goal and (row.worker_id, row.attempt) == (lease.worker_id, lease.token)
