"""What the choices of a configuration cost, each by itself: USD a month, from the price table."""

from outpost.domain.agents import CATALOGUE
from outpost_ops.config import EnvironmentConfig
from outpost_ops.cost.prices import PriceTable, price_table


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
