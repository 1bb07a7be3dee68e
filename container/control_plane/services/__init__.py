"""What the routes call: one service for each thing that the API is about."""

from dataclasses import dataclass
from typing import Self

from control_plane.audit import AuditLog
from control_plane.auth import Authenticator
from control_plane.rate_limit import RateLimiter
from control_plane.services.artifacts import ArtifactService
from control_plane.services.dispatches import DispatchService
from control_plane.services.fleet import Fleet
from control_plane.services.health import Probes, probes_of
from control_plane.services.log_reader import LogReader
from control_plane.services.promotions import PromotionService
from control_plane.services.streams import StreamRegistry
from control_plane.services.tenants import TenantService
from control_plane.services.usage import UsageService
from control_plane.services.workspaces import WorkspaceService
from control_plane.settings import Settings, Stores
from control_plane.signing import Signer
from outpost.store.rates import Rates


@dataclass(frozen=True)
class Services:
    """The services of one replica."""

    settings: Settings
    authenticator: Authenticator
    limiter: RateLimiter
    audit: AuditLog
    signer: Signer
    dispatches: DispatchService
    promotions: PromotionService
    artifacts: ArtifactService
    logs: LogReader
    streams: StreamRegistry
    workspaces: WorkspaceService
    tenants: TenantService
    usage: UsageService
    fleet: Fleet
    probes: Probes

    @classmethod
    def connect(cls, settings: Settings, stores: Stores, audit: AuditLog, signing_secret: str) -> Self:
        """Return the services of a replica that works with these stores."""
        policy, signer = settings.policy, Signer(signing_secret)
        authenticator = Authenticator(stores.tenants)
        dispatches = DispatchService(policy, stores)
        return cls(
            settings=settings,
            authenticator=authenticator,
            limiter=RateLimiter(Rates(stores.database).lease),
            audit=audit,
            signer=signer,
            dispatches=dispatches,
            promotions=PromotionService(policy, stores, dispatches),
            artifacts=ArtifactService(stores, signer),
            logs=LogReader(stores.artifacts),
            streams=StreamRegistry(dispatches.reader.get, stores.artifacts.chunk),
            workspaces=WorkspaceService(stores.workspaces),
            tenants=TenantService(stores, authenticator),
            usage=UsageService(stores),
            fleet=Fleet(policy, stores.dispatches, stores.workers, stores.slots),
            probes=Probes(probes_of(stores)),
        )
