"""The rules between the fields of a configuration; each broken one is a `Problem` with its remedy."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from outpost.domain.agents import CATALOGUE, SILENCE_SECONDS, Agent, Alias
from outpost.domain.bedrock import bedrock_model
from outpost.domain.providers import BEDROCK, has_bedrock
from outpost_ops.config.closed_network import closed_network_problems
from outpost_ops.config.errors import Problem
from outpost_ops.config.model import AgentConfig, EnvironmentConfig
from outpost_ops.config.models import foreign_models

FARGATE_MEMORY: dict[int, range] = {
    256: range(512, 2048 + 1, 512),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""CPU units -> the memory sizes (MiB) that Fargate pairs with them."""


def broken_invariants(config: EnvironmentConfig) -> list[Problem]:
    """Return the broken rules between fields, which no single field shows."""
    return [
        *_zone_problems(config),
        *_exposure_problems(config),
        *_tls_problems(config),
        *_place_problems(config),
        *closed_network_problems(config),
        *_retention_problems(config),
        *_forge_problems(config),
        *(_prod_problems(config) if config.name == "prod" else ()),
        *_scaling_problems(config),
        *_budget_problems(config),
        *_fargate_problems("control_plane", config.control_plane.cpu, config.control_plane.memory),
        *(problem for agent, settings in config.enabled_agents.items() for problem in _agent_problems(agent, settings)),
    ]


def _forge_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    git = config.git
    if git.forge_url is not None and git.app is None and git.token_secret is None:
        remedy = "add it or git.app, or remove git.forge_url"
        yield Problem("git.token_secret", None, "the ARN of the forge's token", remedy)
    if git.app is not None and git.token_secret is not None:
        remedy = "remove one of the two"
        yield Problem("git.token_secret", git.token_secret, "nothing beside git.app", remedy)
    if git.app is not None and git.forge_url is None:
        remedy = "add it, e.g. https://api.github.com"
        yield Problem("git.forge_url", None, "the URL of the app's API", remedy)


def _zone_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    if len(set(config.zones)) < 2:
        yield Problem("zones", list(config.zones), "two or more different zones", "name a second zone of the region")
    foreign = [zone for zone in config.zones if not zone.startswith(config.region)]
    if foreign:
        yield Problem("zones", foreign, f"zones of {config.region}", "name zones of the environment's region")
    if not 16 <= config.network.cidr.prefixlen <= 24:
        yield Problem("network.cidr", str(config.network.cidr), "a /16 to a /24", "choose a size that a VPC can have")
    if config.network.nat_count > len(config.zones):
        allowed = f"1 to {len(config.zones)}, the number of zones"
        yield Problem("network.nat_count", config.network.nat_count, allowed, "name more zones or fewer NATs")


def _exposure_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    cidrs = [str(cidr) for cidr in config.ingress.cidrs]
    public = any(cidr.prefixlen == 0 for cidr in config.ingress.cidrs)
    if public and not config.tls.enabled:
        remedy = "set tls.certificate_arn, or name your networks: API keys must not cross the internet in clear"
        yield Problem("ingress.cidrs", cidrs, "narrower networks while the listener speaks plain HTTP", remedy)
    if public and not config.ingress.waf:
        yield Problem("ingress.waf", False, "true when everybody may connect", "set it, or name your networks")
    for one, other in combinations(config.ingress.cidrs, 2):
        if one.overlaps(other):
            inner = min(one, other, key=lambda cidr: cidr.num_addresses)
            remedy = f"remove {inner}: another one contains it"
            yield Problem("ingress.cidrs", cidrs, "networks that do not overlap", remedy)


def _tls_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    tls = config.tls
    if tls.domain and not tls.enabled:
        remedy = "set tls.certificate_arn, or tls.zone_id to get a certificate for it"
        yield Problem("tls.domain", tls.domain, "left out without a certificate", remedy)
    if tls.zone_id and not tls.domain:
        yield Problem("tls.domain", None, "a host name in the zone", "name it, or remove tls.zone_id")


def _place_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    """Yield the ARNs of another account or region, which neither a load balancer nor a function can use."""
    named = {
        "tls.certificate_arn": config.tls.certificate_arn,
        "git.app.key_secret": config.git.app.key_secret if config.git.app else None,
        "git.token_secret": config.git.token_secret,
    }
    allowed = f"an ARN of region {config.region} and account {config.account}, as the environment's"
    for field, arn in named.items():
        if arn is not None and arn.split(":")[3:5] != [config.region, config.account]:
            yield Problem(field, arn, allowed, "create it there, or correct region or account")


def _retention_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    lock_days, audit_days = config.retention.lock_days, config.retention.audit_days
    if lock_days and config.removal == "destroy":
        remedy = 'a locked bucket cannot be deleted: set removal = "retain"'
        yield Problem("retention.lock_days", lock_days, '0 with removal = "destroy"', remedy)
    if lock_days > audit_days:
        allowed = f"0 to {audit_days}, as audit_days"
        yield Problem("retention.lock_days", lock_days, allowed, "trails cannot expire before their lock ends")


def _prod_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    """Yield what other environments may do, but prod never."""
    if not config.tls.enabled:
        remedy = "prod never speaks plain HTTP: set it"
        yield Problem("tls.certificate_arn", None, "the ARN of an ACM certificate", remedy)
    if config.removal != "retain":
        yield Problem("removal", config.removal, "retain", "prod's data survives its stacks: set it")
    if not config.deletion_protection:
        yield Problem("deletion_protection", False, "true", "prod is not deleted by accident: set it")
    if Agent.SHELL in config.enabled_agents:
        remedy = "it runs any script: remove the table or disable it"
        yield Problem("agents.shell.enabled", True, "false in prod", remedy)


def _scaling_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    size = config.control_plane
    if size.maximum < size.minimum:
        remedy = "raise it to control_plane.minimum"
        yield Problem("control_plane.maximum", size.maximum, f"{size.minimum} or more", remedy)


def _budget_problems(config: EnvironmentConfig) -> Iterator[Problem]:
    whole, each = config.cost.model_budget, config.cost.tenant_model_budget
    if whole is not None and each is not None and each > whole:
        remedy = "lower it, or raise cost.model_budget: no tenant can spend more than the environment"
        yield Problem("cost.tenant_model_budget", each, f"0.01 to {whole:.2f}, as cost.model_budget", remedy)


def _fargate_problems(field: str, cpu: int, memory: int) -> Iterator[Problem]:
    if cpu not in FARGATE_MEMORY:
        yield Problem(f"{field}.cpu", cpu, _listed(FARGATE_MEMORY), "choose CPU units that Fargate offers")
    elif memory not in FARGATE_MEMORY[cpu]:
        remedy = f"choose a memory size that Fargate pairs with {cpu} CPU units"
        yield Problem(f"{field}.memory", memory, _listed(FARGATE_MEMORY[cpu]), remedy)


def _agent_problems(agent: Agent, settings: AgentConfig) -> Iterator[Problem]:
    entry, field = CATALOGUE[agent], f"agents.{agent}"
    yield from _fargate_problems(field, settings.cpu or entry.cpu, settings.memory or entry.memory)
    if settings.warm > settings.limit:
        yield Problem(f"{field}.warm", settings.warm, f"0 to {settings.limit}", "raise limit or lower warm")
    if settings.no_progress_seconds is not None and settings.no_progress_seconds not in SILENCE_SECONDS:
        allowed = f"{SILENCE_SECONDS.start} to {SILENCE_SECONDS.stop - 1}"
        remedy = "correct it: an agent that thinks prints nothing for seconds"
        yield Problem(f"{field}.no_progress_seconds", settings.no_progress_seconds, allowed, remedy)
    if settings.models and entry.provider is None:
        allowed = "none: the catalogue names no provider, hence no secret, for this agent"
        remedy = "leave models out, or give the agent a provider in outpost/domain/agents.py"
        yield Problem(f"{field}.models", dict(settings.models), allowed, remedy)
    if entry.provider is not None and Alias.FLAGSHIP not in settings.models:
        remedy = f"name the default model of {agent}, or set enabled = false"
        yield Problem(f"{field}.models", dict(settings.models), "a table with at least flagship", remedy)
    yield from (_bedrock_problems if settings.provider == BEDROCK else foreign_models)(agent, settings)


def _bedrock_problems(agent: Agent, settings: AgentConfig) -> Iterator[Problem]:
    provider, field = CATALOGUE[agent].provider, f"agents.{agent}"
    if not has_bedrock(provider):
        able = ", ".join(each for each in Agent if has_bedrock(CATALOGUE[each].provider))
        remedy = "remove it: Bedrock does not serve the API that this agent speaks"
        yield Problem(f"{field}.provider", BEDROCK, f"left out, but for {able}", remedy)
        return
    for alias, model in settings.models.items():
        try:
            bedrock_model(model, str(provider))
        except ValueError as error:
            remedy = "take the id from the model's page in the Amazon Bedrock User Guide"
            yield Problem(f"{field}.models.{alias}", model, str(error), remedy)


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in values)
