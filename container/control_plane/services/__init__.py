"""What the routes call: one service for each thing that the API is about."""

from control_plane.audit import AuditLog
from control_plane.auth import Authenticator
from control_plane.rate_limit import RateLimiter
from control_plane.services.artifacts import ArtifactService
from control_plane.services.dispatches import DispatchService, WorkspaceService
from control_plane.services.fleet import Fleet
from control_plane.services.health import Probes, probes_of
from control_plane.services.log_reader import LogReader
from control_plane.services.promotions import PromotionService
from control_plane.services.streams import StreamRegistry
from control_plane.services.tenants import TenantService
from control_plane.services.usage import UsageService
from control_plane.settings import Settings, Stores
from control_plane.signing import Signer
from outpost.store.tenants import Rates


class Services:
    """The services of one replica."""

    def __init__(self, settings: Settings, stores: Stores, audit: AuditLog, signing_secret: str) -> None:
        policy = settings.policy
        self.settings = settings
        self.authenticator = Authenticator(stores.tenants)
        self.limiter = RateLimiter(Rates(stores.database).lease)
        self.audit = audit
        self.signer = Signer(signing_secret)
        self.dispatches = DispatchService(policy, stores)
        self.promotions = PromotionService(policy, stores, self.dispatches)
        self.artifacts = ArtifactService(stores, self.signer)
        self.logs = LogReader(stores.artifacts)
        self.streams = StreamRegistry(self.dispatches.reader.get, stores.artifacts.chunk)
        self.workspaces = WorkspaceService(stores.workspaces)
        self.tenants = TenantService(stores, self.authenticator)
        self.usage = UsageService(stores)
        self.fleet = Fleet(policy, stores)
        self.probes = Probes(probes_of(stores))
