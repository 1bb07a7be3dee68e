"""What the deployment configures and generates for this service: its settings, its stores, its two secrets."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config

from control_plane.admission import Policy
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.ids import now
from outpost.domain.tenants import KEY_PATTERN, KEY_PREFIX_LENGTH, OPERATOR, ApiKey, Scope, Tenant, hash_key
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.store import Store
from outpost.names import Env
from outpost.store.budgets import MonthlyLimits
from outpost.store.database import Database
from outpost.store.secrets import TenantSecrets
from outpost.store.tenants import ExistsError, Tenants

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


def read_secret(variable: Env) -> str:
    """Return the secret that a variable of this process names. Raises `KeyError` naming one that is missing."""
    client = boto3.client("secretsmanager", config=CLIENT_CONFIG)
    return client.get_secret_value(SecretId=os.environ[variable])["SecretString"]


def read_operator_key() -> str:
    """Read the operator's first key. Raises `ValueError` when the secret does not hold one."""
    key = f"otp_{json.loads(read_secret(Env.BOOTSTRAP_KEY_SECRET)).get('key_hex', '')}"
    if KEY_PATTERN.fullmatch(key) is None:
        secret = os.environ[Env.BOOTSTRAP_KEY_SECRET]
        raise ValueError(f"secret {secret}: field key_hex is not 64 lower-case hexadecimal digits")
    return key


def register_operator(tenants: Tenants, key: str) -> None:
    """Make sure that the operator tenant and its first key exist; one that was revoked stays revoked."""
    at = now()
    with suppress(ExistsError):  # every start but the first
        tenants.add(Tenant(id=OPERATOR, name="Operator", tier="enterprise", created_at=at))
    tenants.add_key(
        ApiKey(
            sha256=hash_key(key),
            prefix=key[:KEY_PREFIX_LENGTH],
            tenant_id=OPERATOR,
            name="bootstrap",
            scopes=frozenset({Scope.ADMIN}),
            created_at=at,
        ),
    )
