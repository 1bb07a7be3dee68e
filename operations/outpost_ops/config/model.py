"""The model of `config/<name>.toml`: every field, its bounds, and what else is allowed there.

Errors and docs/configuration.md derive what is allowed from bounds and description (`errors.allowed_in`), so that no
description repeats a bound.
"""

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from outpost.domain.agents import CATALOGUE, Agent, AgentTunables
from outpost.domain.bedrock import BedrockModel, agent_models
from outpost.domain.providers import BEDROCK

LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653]
"""The retentions that CloudWatch Logs offers."""
_SECRET_ARN = r"^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[^\s*?]+$"  # noqa: S105 - a pattern
_PRIVATE = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(_Section):
    """The VPC: its address range and how private subnets reach the internet."""

    cidr: IPv4Network = Field(description="an IPv4 network between /16 and /24, e.g. 10.61.0.0/16")
    nat: Literal["none", "instance", "gateway"] = Field(
        description="none (no way out), instance (cheap, one machine a gateway) or gateway (managed)"
    )
    nat_count: int = Field(default=1, ge=1, le=6, description="how many NATs; one a zone survives the loss of a zone")
    endpoints: tuple[str, ...] = Field(
        default=(), description="interface endpoint services, e.g. ecr.api, ecr.dkr, logs, sqs, secretsmanager"
    )
    worker_egress: tuple[IPv4Network, ...] = Field(
        default=(IPv4Network("0.0.0.0/0"),),
        description="networks that workers may reach over HTTPS; when narrowed, S3's have to be among them",
    )


class IngressConfig(_Section):
    """Who may reach the load balancer."""

    cidrs: tuple[IPv4Network, ...] = Field(
        min_length=1, description="IPv4 networks, e.g. 203.0.113.0/24; when all are private, so is the load balancer"
    )
    waf: bool = Field(default=False, description="true or false: AWS WAF before the load balancer; 0.0.0.0/0 needs it")
    proxies: int = Field(
        default=1,
        ge=1,
        le=5,
        description="proxies that append to X-Forwarded-For before the service, the load balancer included: 2 behind a "
        "content delivery network",
    )
    requests_per_address: int = Field(
        default=2000, ge=100, le=2_000_000, description="requests of one address in 5 minutes that WAF lets through"
    )

    @property
    def private(self) -> bool:
        """Whether all of them are networks of companies or machines: no such address arrives over the internet."""
        return all(any(cidr.subnet_of(network) for network in _PRIVATE) for cidr in self.cidrs)


class TlsConfig(_Section):
    """HTTPS for the load balancer; without a certificate it speaks plain HTTP."""

    certificate_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+$",
        description="ARN of an ACM certificate in the environment's region",
    )
    domain: str | None = Field(
        default=None, pattern=r"^[a-z0-9.-]+$", description="the host name that the certificate is for"
    )
    zone_id: str | None = Field(
        default=None,
        pattern=r"^Z[A-Z0-9]{4,31}$",
        description="Route 53 zone of the domain: gets its record and, without certificate_arn, a certificate",
    )

    @property
    def enabled(self) -> bool:
        """Whether the load balancer speaks HTTPS."""
        return bool(self.certificate_arn or self.zone_id)


class ControlPlaneConfig(_Section):
    """Size and scaling of the control plane's service."""

    cpu: int = Field(description="Fargate CPU units: 256, 512, 1024, 2048, 4096, 8192 or 16384")
    memory: int = Field(description="MiB, a size that Fargate pairs with the CPU")
    minimum: int = Field(ge=1, le=100, description="fewest tasks")
    maximum: int = Field(ge=1, le=100, description="most tasks, not below minimum")
    cpu_target: int = Field(default=60, ge=10, le=90, description="percent of CPU that scaling aims at")
    requests_target: int = Field(default=1000, ge=1, description="requests a minute and task that scaling aims at")


class AgentConfig(AgentTunables):
    """One agent of this environment; the catalogue knows the rest."""

    enabled: bool = Field(
        default=True,
        description="true or false; false keeps the agent's queue and provider key, removing the table deletes them",
    )
    cpu: int | None = Field(default=None, description="Fargate CPU units; left out: the catalogue's")
    memory: int | None = Field(default=None, description="MiB; left out: the catalogue's")
    provider: Literal["bedrock"] | None = Field(
        default=None,
        description="bedrock: its models are called at Amazon Bedrock, with IAM and without a key, by ids of models or "
        "inference profiles; for claude, codex, opencode and copilot; left out: its own provider",
    )
    model_url: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s]+|http://127\.0\.0\.1:\d+)$",
        description="https URL of a gateway that speaks the provider's API; left out: the provider itself",
    )


class RetentionConfig(_Section):
    """Days until things expire."""

    logs_days: LogRetentionDays = Field(description="a retention that CloudWatch Logs offers")
    artifacts_days: int = Field(ge=91, le=3650, description="days; artifacts change storage class at 30 and 90")
    audit_days: int = Field(ge=181, le=3650, description="days; trails change storage class at 90 and 180")
    backup_days: int = Field(
        default=0, ge=0, le=3650, description="days that AWS Backup keeps daily copies of tables and files; 0: no plan"
    )
    lock_days: int = Field(
        default=0, ge=0, le=3650, description="days that Object Lock keeps trails and archive from deletion; 0: no lock"
    )


class ForgeAppConfig(_Section):
    """A GitHub app: installed where dispatches may read and promotions may write."""

    id: str = Field(pattern=r"^[A-Za-z0-9.]{1,64}$", description="the app's id or client id, in quotes")
    key_secret: str = Field(pattern=_SECRET_ARN, description="ARN of a secret whose text is the app's private key, PEM")


class GitConfig(_Section):
    """Where repositories come from."""

    base_url: str = Field(
        pattern=r"^(https|git)://[^\s/]+$",
        description=(
            "what `owner/name` resolves against, e.g. https://github.com; git has a token for exactly `owner/name` "
            "below it, not for deeper paths (groups in groups)"
        ),
    )
    allowed_hosts: tuple[str, ...] = Field(min_length=1, description="hosts that a repository URL may name")
    forge_url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s?#]+$",
        description="the forge's API, e.g. https://api.github.com; needs app or token_secret",
    )
    app: ForgeAppConfig | None = Field(
        default=None, description="the forge's app, whose tokens reach one repository for one hour; needs forge_url"
    )
    token_secret: str | None = Field(
        default=None,
        pattern=_SECRET_ARN,
        description="in place of an app: ARN of a secret whose text is a token that clones and pushes below base_url",
    )


class MigrationConfig(_Section):
    """The tools to migrate from v1; one environment of an account and region may have them."""

    enabled: bool = Field(default=False, description="true or false: at most one environment of an account and region")


class ImagesConfig(_Section):
    """Container image builds."""

    build_args: dict[str, str] = Field(
        default_factory=dict, description="Dockerfile build arguments, e.g. another base image"
    )


class BedrockConfig(_Section):
    """Where agents with `provider = "bedrock"` call their models."""

    region: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="the region whose Bedrock is called; inference profiles may route to others; left out: the "
        "environment's",
    )


class CostConfig(_Section):
    """What the environment may cost."""

    budget: int = Field(default=100, ge=1, description="USD a month: AWS Budgets gives notice at 80 and 100 percent")
    model_budget: float | None = Field(
        default=None,
        ge=0.01,
        allow_inf_nan=False,
        description="USD a month (UTC) that model calls may cost: none is made beyond; left out: no limit",
    )
    tenant_model_budget: float | None = Field(
        default=None,
        ge=0.01,
        allow_inf_nan=False,
        description="the same for each tenant, where `outpost tenants set --monthly-budget-usd` gives no other; left "
        "out: no limit",
    )
    ceiling: int = Field(
        default=500, ge=1, description="USD a month that the idle environment may cost; a synth above it fails"
    )


class EnvironmentConfig(_Section):
    """Everything that differs between environments. Build it with `load`, which also checks the invariants."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]{1,15}$", description="2 to 16 lower-case letters and digits")
    account: str = Field(pattern=r"^\d{12}$", description="12 digits, in quotes")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region, e.g. us-east-1")
    zones: tuple[str, ...] = Field(description="two or more availability zones of the region")
    architecture: Literal["x86_64", "arm64"] = Field(description="of every image and Lambda: x86_64 or arm64")
    python: Literal["3.11", "3.12", "3.13", "3.14"] = Field(description="Lambda runtime, in quotes")
    removal: Literal["destroy", "retain"] = Field(
        description="what becomes of tables, buckets and files when a stack is deleted"
    )
    deletion_protection: bool = Field(description="true or false: tables and load balancer refuse to be deleted")
    encryption: Literal["aws", "customer"] = Field(
        default="aws", description="keys of everything at rest: aws, or customer for one KMS key of the environment"
    )
    alarm_email: str | None = Field(
        default=None, pattern=r"^[^@\s]+@[^@\s]+$", description="address that alarms are sent to"
    )
    container_insights: bool = Field(default=False, description="true or false: paid metrics for each task")
    network: NetworkConfig
    ingress: IngressConfig
    tls: TlsConfig = TlsConfig()
    control_plane: ControlPlaneConfig
    retention: RetentionConfig
    git: GitConfig
    images: ImagesConfig = ImagesConfig()
    migration: MigrationConfig = MigrationConfig()
    bedrock: BedrockConfig = BedrockConfig()
    cost: CostConfig = CostConfig()
    agents: Annotated[dict[Agent, AgentConfig], Field(min_length=1, description="one table for each agent")]

    @property
    def configured_agents(self) -> list[Agent]:
        """The agents that have a table, enabled or not, in the catalogue's order: what is kept for them is kept."""
        return [agent for agent in Agent if agent in self.agents]

    def provider_of(self, agent: Agent) -> str | None:
        """Return the provider that a configured agent's models are called at; None for one without a model."""
        return self.agents[agent].provider or CATALOGUE[agent].provider

    @property
    def bedrock_region(self) -> str:
        """The region whose Bedrock is called."""
        return self.bedrock.region or self.region

    @property
    def bedrock_models(self) -> list[BedrockModel]:
        """The models that enabled agents call at Bedrock, by their ids."""
        at_bedrock = {agent: each for agent, each in self.enabled_agents.items() if each.provider == BEDROCK}
        found = {model for agent, each in at_bedrock.items() for model in agent_models(agent, each.models.values())}
        return sorted(found, key=lambda model: model.id)

    @property
    def enabled_agents(self) -> dict[Agent, AgentConfig]:
        """The agents to deploy, in the catalogue's order."""
        return {agent: self.agents[agent] for agent in self.configured_agents if self.agents[agent].enabled}
