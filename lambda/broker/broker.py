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
from broker.lease import Leases
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.protocol import (
    ClaimRequest,
    ClaimResponse,
    EndedRequest,
    ForgeTokenRequest,
    ForgeTokenResponse,
    GrantRequest,
    GrantResponse,
    LeaseResponse,
    RenewRequest,
    ReportRequest,
    Request,
    ReserveRequest,
    ReserveResponse,
    SavedRequest,
    StartedRequest,
)
from outpost.store.artifacts import Artifacts
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.tenants import Tenants
from outpost.store.turns import Turns
from outpost.store.workers import Workers
from outpost.store.workspaces import Workspaces


@dataclass(frozen=True)
class Broker:
    """Handles the workers' requests."""

    dispatches: Dispatches
    workers: Workers
    tenants: Tenants
    workspaces: Workspaces
    artifacts: Artifacts
    credentials: AttemptCredentials
    launches: Launches
    agents: Mapping[Agent, AgentSettings]
    grants: Grants
    identities: Identities
    turns: Turns
    now: Callable[[], datetime]
    forge: Forge | None = None

    def handle(
        self, request: Request
    ) -> ClaimResponse | LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse:
        """Handle one request. A lease that is no longer live is a response, not an error."""
        if isinstance(request, ClaimRequest):
            return self._claims.claim(request)
        row = self.dispatches.get(request.dispatch_id)
        if row is not None and not sent_by_holder(request, row):
            row = None
        match request:
            case RenewRequest():
                return self._leases.renew(request, row)
            case ReserveRequest() | SavedRequest():
                return self._leases.account_workspace(request, row)
            case ForgeTokenRequest():
                return self._leases.forge_token(request, row)
            case GrantRequest():
                return self.grants.handle(request, row, self.tenants.get(row.tenant_id) if row else None, self.now())
            case StartedRequest() | EndedRequest() | ReportRequest():
                return self._leases.advance(request, row)

    @property
    def _claims(self) -> Claims:
        return Claims(
            dispatches=self.dispatches,
            workers=self.workers,
            candidates=Candidates(self.dispatches, self.workers, self.tenants, self.turns),
            launches=self.launches,
            identities=self.identities,
            assignments=self._assignments,
            agents=self.agents,
            now=self.now,
        )

    @property
    def _leases(self) -> Leases:
        return Leases(
            dispatches=self.dispatches,
            workers=self.workers,
            tenants=self.tenants,
            workspaces=self.workspaces,
            assignments=self._assignments,
            now=self.now,
            forge=self.forge,
        )

    @property
    def _assignments(self) -> Assignments:
        return Assignments(
            dispatches=self.dispatches,
            tenants=self.tenants,
            workspaces=self.workspaces,
            artifacts=self.artifacts,
            credentials=self.credentials,
            agents=self.agents,
            grants=self.grants,
            forge=self.forge,
        )
