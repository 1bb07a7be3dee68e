"""What the deployment configures, and the stores that it names."""

import os
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config

from control_plane.admission import Policy
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.store import Store
from outpost.names import Env
from outpost.store.budgets import MonthlyLimits
from outpost.store.database import Database
from outpost.store.secrets import TenantSecrets

if TYPE_CHECKING:
    from types_boto3_efs.client import EFSClient

DEFAULT_RETENTION_DAYS = 180


@dataclass(frozen=True)
class Settings:
    """The service's part of the environment's configuration."""

    version: str
    policy: Policy
    hosts: tuple[str, ...]
    """Names under which clients reach the service, beside those of this machine."""
    proxies: int
    """How many proxies in front of the service append to X-Forwarded-For."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read the variables of this process. Raises `KeyError` naming one that is missing."""
        policy = Policy(
            agents=load_agents(),
            git_hosts=frozenset(_names(Env.GIT_ALLOWED_HOSTS)),
            retention=timedelta(days=int(os.environ.get(Env.RETENTION_DAYS, DEFAULT_RETENTION_DAYS))),
            pull_requests=bool(os.environ.get(Env.FORGE_URL)),
            budgets=MonthlyLimits.from_environment(),
        )
        proxies = int(os.environ.get(Env.TRUSTED_PROXIES, "0"))
        return cls(os.environ.get(Env.VERSION) or version("outpost"), policy, _names(Env.API_HOSTS), proxies)


def _names(variable: Env) -> tuple[str, ...]:
    return tuple(filter(None, os.environ.get(variable, "").split(",")))


class Stores(Store):
    """The tables, the bucket, the secrets and the file system of an environment. Raises `KeyError` as `Store` does."""

    def __init__(self, database: Database, config: Config | None = None) -> None:
        """Connect to what the variables of this process name."""
        super().__init__(database, config)
        self.secrets = TenantSecrets.from_environment(self.tenants)
        self.file_systems: EFSClient = boto3.client("efs", config=CLIENT_CONFIG)
        self.file_system_id = os.environ[Env.FILE_SYSTEM_ID]
