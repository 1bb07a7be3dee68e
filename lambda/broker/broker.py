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
from outpost.fleet.store import Store
from outpost.store.turns import Turns


@dataclass(frozen=True)
class Broker:
    """Handles the workers' requests."""

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
        """Handle one request. A lease that is no longer live is a response, not an error."""
        if isinstance(request, ClaimRequest):
            return self._claims.claim(request)
        row = self.store.dispatches.get(request.dispatch_id)
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
                return self.grants.handle(
                    request, row, self.store.tenants.get(row.tenant_id) if row else None, self.now()
                )
            case StartedRequest() | EndedRequest() | ReportRequest():
                return self._leases.advance(request, row)

    @property
    def _claims(self) -> Claims:
        candidates = Candidates(self.store, Turns(self.store.database))
        return Claims(self.store, candidates, self.identities, self._assignments, self.agents, self.now)

    @property
    def _leases(self) -> Leases:
        return Leases(self.store, self._assignments, self.now, self.forge)

    @property
    def _assignments(self) -> Assignments:
        return Assignments(self.store, self.credentials, self.agents, self.grants, self.forge)
