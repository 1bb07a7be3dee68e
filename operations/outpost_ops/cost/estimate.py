"""What an idle environment costs a month, from its templates: fixed prices resource by resource, the rest listed.

And what each choice of a configuration costs by itself.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date

from outpost.domain.agents import CATALOGUE
from outpost_ops.config import EnvironmentConfig
from outpost_ops.cost.prices import Model, PriceTable, price_table
from outpost_ops.cost.resources import PRICED, Pricing
from outpost_ops.templates import Templates


class Line(Model):
    """A resource, what is paid for, and USD a month."""

    resource: str
    type: str
    what: str
    usd: float


class Usage(Model):
    """A resource type that is paid by use."""

    type: str
    count: int
    prices: str


class Estimate(Model):
    """The idle monthly cost of an environment. What is unknown is not in the total, and says so."""

    environment: str
    prices_of: date
    total: float
    """At list prices."""
    after_allowances: float
    """What the bill says: less what AWS gives every account for good."""
    waf: float
    """How much of it is WAF."""
    lines: list[Line]
    always_free: list[Line]
    usage: list[Usage]
    unknown: list[str]


def estimate(templates: Templates, warm: Mapping[str, int], table: PriceTable | None = None) -> Estimate:
    """Return the estimate; `warm` has the idle workers kept ready, by task definition family."""
    prices = table or price_table()
    pricing = Pricing(templates, prices, warm)
    parts = [
        (resource, *part)
        for resource in templates.resources
        if resource.type in PRICED
        for part in PRICED[resource.type](pricing, resource)
    ]
    lines = [
        Line(resource=resource.place, type=resource.type, what=what, usd=prices.monthly(name, count))
        for resource, what, name, count in parts
    ]
    counts: Counter[str] = Counter()
    for _, _, name, count in parts:
        counts[name] += count  # type: ignore[assignment] # typeshed counts in whole numbers only
    free = _always_free(counts, prices)
    types = Counter(resource.type for resource in templates.resources)
    known = {*PRICED, *prices.usage, *prices.free.types}
    return Estimate(
        environment=templates.environment,
        prices_of=prices.date,
        total=sum(line.usd for line in lines),
        after_allowances=sum(line.usd for line in [*lines, *free]),
        waf=sum(line.usd for line in lines if line.type.startswith("AWS::WAFv2::")),
        lines=sorted((line for line in lines if line.usd), key=lambda line: -line.usd),
        always_free=free,
        usage=[Usage(type=kind, count=types[kind], prices=text) for kind, text in prices.usage.items() if types[kind]],
        unknown=sorted(f"{kind} ({count})" for kind, count in types.items() if kind not in known),
    )


def _always_free(counts: Mapping[str, float], prices: PriceTable) -> list[Line]:
    """Return what is not paid of what is used, as negative lines."""
    return [
        Line(
            resource="(account)",
            type="always free",
            what=f"{min(counts[name], allowance):,.6g} of {allowance:,.6g} {name}",
            usd=-prices.monthly(name, min(counts[name], allowance)),
        )
        for name, allowance in prices.always_free.items()
        if counts.get(name)
    ]


def warm_workers(config: EnvironmentConfig) -> dict[str, int]:
    """Return the idle workers that are kept ready, by task definition family."""
    return {f"outpost-{config.name}-{agent}": settings.warm for agent, settings in config.enabled_agents.items()}


def choices(config: EnvironmentConfig, table: PriceTable | None = None) -> dict[str, float]:
    """Return what each thing that a configuration may have more or less of costs a month in this environment."""
    prices = table or price_table()
    zones = len(config.zones)
    address, assumed, size = prices.monthly("public_ipv4_hour"), prices.assumed, config.control_plane
    instance = prices.monthly("t4g_nano_hour") + prices.monthly("gp3_gb", assumed.gp3_gb) + address
    key = prices.monthly("kms_key") + prices.monthly("kms_10000_requests", assumed.kms_10000_requests)
    insights = prices.monthly("custom_metric", assumed.container_insights_metrics)
    costs = {
        "network.nat gateway, each": prices.monthly("nat_gateway_hour") + address,
        "network.nat instance, each": instance,
        f"network.endpoints, each, in {zones} zones": prices.monthly("interface_endpoint_hour", zones),
        "zones, each one more: the load balancer's address": address,
        "ingress.waf, with 7 rules": prices.monthly("web_acl") + prices.monthly("web_acl_rule", 7),
        "encryption customer": key,
        "container_insights, each service and agent": insights,
        "control_plane.minimum, each task": _task(prices, config.architecture, size.cpu, size.memory),
    }
    for agent, settings in config.enabled_agents.items():
        cpu, memory = settings.cpu or CATALOGUE[agent].cpu, settings.memory or CATALOGUE[agent].memory
        costs[f"agents.{agent}.warm, each worker"] = _task(prices, config.architecture, cpu, memory)
    return costs


def _task(prices: PriceTable, platform: str, cpu: int, memory: int) -> float:
    usd = prices.monthly(f"fargate_{platform}_cpu_hour", cpu / 1024)
    return usd + prices.monthly(f"fargate_{platform}_gb_hour", memory / 1024)
