"""What the routes work with, connected as the environment says."""

import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

import boto3

from control_plane.admission import Policy
from control_plane.audit import AuditLog
from control_plane.auth import Authenticator
from control_plane.dispatch_reader import DispatchReader
from control_plane.rate_limit import RateLimiter
from control_plane.services.fleet import Fleet
from control_plane.services.health import Probe, Probes
from control_plane.services.log_reader import LogReader
from control_plane.services.start_estimate import StartEstimator
from control_plane.services.streams import StreamRegistry
from control_plane.signing import Signer
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.wakeups import Wakeups
from outpost.names import Env
from outpost.store.artifacts import Artifacts
from outpost.store.budgets import Budgets, MonthlyLimits
from outpost.store.database import Database
from outpost.store.dispatches import Dispatches
from outpost.store.links import Links
from outpost.store.rates import Rates
from outpost.store.secrets import TenantSecrets
from outpost.store.tenants import Tenants
from outpost.store.usage import UsageCounters
from outpost.store.workers import Workers
from outpost.store.workspaces import Workspaces

if TYPE_CHECKING:
    from types_boto3_efs.client import EFSClient

DEFAULT_RETENTION_DAYS = 180


@dataclass(frozen=True)
class Services:
    """Everything that a request may need."""

    version: str
    policy: Policy
    dispatches: Dispatches
    reader: DispatchReader
    tenants: Tenants
    secrets: TenantSecrets
    workers: Workers
    workspaces: Workspaces
    artifacts: Artifacts
    links: Links
    signer: Signer
    authenticator: Authenticator
    limiter: RateLimiter
    logs: LogReader
    streams: StreamRegistry
    audit: AuditLog
    start_estimator: StartEstimator
    fleet: Fleet
    probes: Probes
    usage: UsageCounters
    budgets: Budgets
    hosts: tuple[str, ...] = ()
    """Names under which clients reach the service, beside those of this machine."""
    proxies: int = 0
    """How many proxies in front of the service append to X-Forwarded-For."""
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def from_environment(cls, signing_secret: str) -> "Services":
        """Connect everything. Raises `KeyError` naming a variable that is missing."""
        database, policy = Database.from_environment(), _policy()
        dispatches = Dispatches(database, Wakeups.from_environment(policy.agents))
        tenants = Tenants(database)
        reader = DispatchReader(database)
        workers = Workers(database, dispatches)
        artifacts = Artifacts.from_environment()
        return cls(
            version=os.environ.get(Env.VERSION) or version("outpost"),
            policy=policy,
            dispatches=dispatches,
            reader=reader,
            tenants=tenants,
            secrets=TenantSecrets.from_environment(tenants),
            workers=workers,
            workspaces=Workspaces(database),
            artifacts=artifacts,
            links=Links(database),
            signer=Signer(signing_secret),
            authenticator=Authenticator(tenants),
            limiter=RateLimiter(Rates(database).lease),
            logs=LogReader(artifacts),
            audit=AuditLog.from_environment(),
            streams=StreamRegistry(reader.get, artifacts.chunk),
            start_estimator=StartEstimator(dispatches, workers),
            fleet=Fleet(policy, dispatches, workers),
            probes=Probes(_probes(database, artifacts)),
            usage=UsageCounters(database),
            budgets=Budgets(database, dispatches, policy.budgets),
            hosts=tuple(filter(None, os.environ.get(Env.API_HOSTS, "").split(","))),
            proxies=int(os.environ.get(Env.TRUSTED_PROXIES, "0")),
        )


def _policy() -> Policy:
    hosts = os.environ.get(Env.GIT_ALLOWED_HOSTS, "")
    days = int(os.environ.get(Env.RETENTION_DAYS, DEFAULT_RETENTION_DAYS))
    return Policy(
        agents=load_agents(),
        git_hosts=frozenset(filter(None, hosts.split(","))),
        retention=timedelta(days=days),
        pull_requests=bool(os.environ.get(Env.FORGE_URL)),
        budgets=MonthlyLimits.from_environment(),
    )


def _probes(database: Database, artifacts: Artifacts) -> dict[str, Probe]:
    efs: EFSClient = boto3.client("efs", config=CLIENT_CONFIG)
    file_system = os.environ[Env.FILE_SYSTEM_ID]

    def reach_database() -> str:
        database.get(database.dispatches, "PROBE", "PROBE")
        return "dispatches table answers"

    def reach_workers() -> str:
        lease = database.get(database.workers, "LEASE#planner", "LEASE")
        return "planner has run" if lease else "workers table answers; planner has not run yet"

    def reach_bucket() -> str:
        artifacts.reach()
        return "artifacts bucket answers"

    def reach_files() -> str:
        found = efs.describe_file_systems(FileSystemId=file_system)["FileSystems"]
        return f"file system is {found[0]['LifeCycleState']}"

    return {"dynamodb": reach_database, "s3": reach_bucket, "efs": reach_files, "worker-pool": reach_workers}
