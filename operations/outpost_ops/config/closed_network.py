"""What an environment without a way out of its network has to have inside it."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from outpost.domain.providers import BEDROCK, PROVIDERS, has_bedrock
from outpost_ops.config.errors import Problem
from outpost_ops.config.model import EnvironmentConfig

EMBEDDED_ACCOUNT = "000000000000"
"""The account of the embedded AWS, which AWS gives to nobody: its tasks run on the machine and need no endpoint."""
BEDROCK_ENDPOINT = "bedrock-runtime"
ENDPOINTS = ("ecr.api", "ecr.dkr", "elasticfilesystem", "kms", "lambda", "logs", "secretsmanager", "sqs", "ssm")
"""The interface endpoints that tasks in the private subnets need; all functions run outside the VPC.

- `ecr.api`, `ecr.dkr`: Fargate pulls the images of control plane and workers (Amazon ECR User Guide, "Amazon ECR
  interface VPC endpoints"); the layers come from S3.
- `elasticfilesystem`: the control plane's readiness probe describes the file system. Mounting needs no endpoint.
- `kms`: the control plane signs checkpoints of the audit log.
- `lambda`: workers call the broker for the credentials of an attempt.
- `logs`: Fargate sends what tasks print; the control plane writes the audit log.
- `secretsmanager`: the control plane's signing key and tenants' secrets; workers read an attempt's secrets.
- `sqs`: wake-ups, which the control plane sends and workers receive.
- `ssm`: the control plane reads the agents' settings.

Agents at Bedrock also need `bedrock-runtime` (Amazon Bedrock User Guide, "Use interface VPC endpoints").
DynamoDB and S3 have gateway endpoints in every environment. No task calls STS, ECS or EventBridge: the broker and
the other functions do, and services decrypt with the caller's grant by themselves.
"""
_INSIDE = 'with nat = "none" a private address, or a name below .internal in a private zone'
_SET_NAT = "set network.nat to instance or gateway"


def closed_network_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    """Yield what tasks could not reach with `nat = "none"`."""
    if config.network.nat != "none" or config.account == EMBEDDED_ACCOUNT:
        return
    yield from _endpoint_problems(config)
    for field, host in _hosts(config):
        if not _inside(host):
            yield Problem(field, host, _INSIDE, f"name a host inside your network, or {_SET_NAT}")
    yield from _model_problems(config)


def _model_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    """Yield the agents whose models are called outside the network."""
    for agent, settings in config.enabled_agents.items():
        provider = config.provider_of(agent)
        if provider is None or (provider == BEDROCK and settings.model_url is None):
            continue  # Bedrock through its endpoint
        host = str(urlsplit(settings.model_url or PROVIDERS[provider].url).hostname)
        if _inside(host):
            continue
        bedrock = f'set agents.{agent}.provider = "bedrock", ' if has_bedrock(provider) else ""
        calls = "" if settings.model_url else f": without it {host} is called"
        remedy = f"{bedrock}name the URL of a gateway inside your network, or {_SET_NAT}{calls}"
        yield Problem(f"agents.{agent}.model_url", settings.model_url, _INSIDE, remedy)


def _endpoint_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    needed = {*ENDPOINTS, *([BEDROCK_ENDPOINT] if _calls_bedrock(config) else [])}
    if missing := sorted(needed - set(config.network.endpoints)):
        yield Problem(
            "network.endpoints",
            list(config.network.endpoints),
            f'with nat = "none" also {", ".join(missing)}',
            "add them, or set network.nat: without either, tasks cannot start or do their work",
        )
    if _calls_bedrock(config) and config.bedrock_region != config.region:
        yield Problem(
            "bedrock.region",
            config.bedrock_region,
            f'with nat = "none" {config.region}, as the environment\'s',
            "remove it, for an interface endpoint leads to its own region only, or set network.nat",
        )


def _calls_bedrock(config: EnvironmentConfig) -> bool:
    return any(agent.provider == BEDROCK and agent.model_url is None for agent in config.enabled_agents.values())


def _hosts(config: EnvironmentConfig) -> Iterator[tuple[str, str]]:
    """Yield the field and the host of everything but AWS and models that workers connect to."""
    yield "git.base_url", str(urlsplit(config.git.base_url).hostname)
    if config.git.forge_url is not None:
        yield "git.forge_url", str(urlsplit(config.git.forge_url).hostname)
    for host in config.git.allowed_hosts:
        yield "git.allowed_hosts", host


def _inside(host: str) -> bool:
    """Return whether a host can be inside a network. ICANN reserves `.internal` for private use (2024-07-29)."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host.endswith(".internal")
