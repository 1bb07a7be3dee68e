"""The fixed monthly price of each resource type that has one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from outpost.domain.audit import CHECKPOINT_PERIOD
from outpost_ops.cost.prices import PriceTable
from outpost_ops.templates import Resource, Templates, values_at

Parts = Iterator[tuple[str, str, float]]
"""What is paid for, the name of its price, and how many of it a month (or, priced by the hour, at once)."""
_PER_HOUR = {"rate(1 minute)": 60, "rate(5 minutes)": 12, "rate(1 hour)": 1}
"""Schedule expression -> runs an hour; others run seldom enough to be left out."""


@dataclass(frozen=True)
class Pricing:
    """What a price is made of: the environment's templates, the table, and the warm workers by family."""

    templates: Templates
    table: PriceTable
    warm: Mapping[str, int]

    def fargate(self, definition: Resource, count: int, what: str) -> Parts:
        """Return so many tasks that run all month."""
        platform = definition.properties.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64").lower()
        cpu, memory = int(definition.properties["Cpu"]) / 1024, int(definition.properties["Memory"]) / 1024
        yield f"{count} {what}, {cpu:g} vCPU, {platform}", f"fargate_{platform}_cpu_hour", cpu * count
        yield f"{count} {what}, {memory:g} GB, {platform}", f"fargate_{platform}_gb_hour", memory * count

    def replicas(self, service: Resource) -> int:
        """Return how many tasks a service runs at least."""
        minimums = [
            int(target.properties["MinCapacity"])
            for target in self.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
            if service in target.targets(target.properties["ResourceId"])
        ]
        return minimums[0] if minimums else 1

    @property
    def watched(self) -> bool:
        """Whether Container Insights is on."""
        clusters = [each.properties for each in self.templates.of_type("AWS::ECS::Cluster")]
        settings = values_at(clusters, "ClusterSettings")
        return any(each["Name"] == "containerInsights" and each["Value"] != "disabled" for each in settings)


def _of(name: str, what: str) -> Callable[[Pricing, Resource], Parts]:
    """Return the pricing of a type that costs the same for each resource."""

    def price(_pricing: Pricing, _resource: Resource) -> Parts:
        yield what, name, 1

    return price


def _load_balancer(_pricing: Pricing, balancer: Resource) -> Parts:
    yield "hours, without capacity units", "alb_hour", 1
    if balancer.properties.get("Scheme") != "internal":
        zones = len(balancer.properties["Subnets"])
        yield f"{zones} public IPv4 addresses, one a zone", "public_ipv4_hour", zones


def _nat_instance(pricing: Pricing, instance: Resource) -> Parts:
    kind = str(instance.properties["InstanceType"])
    yield kind, f"{kind.replace('.', '_')}_hour", 1
    yield "its volume", "gp3_gb", pricing.table.assumed.gp3_gb
    interfaces = instance.properties.get("NetworkInterfaces", [])
    if any(each.get("AssociatePublicIpAddress") for each in interfaces):
        yield "public IPv4 address", "public_ipv4_hour", 1


def _endpoint(_pricing: Pricing, endpoint: Resource) -> Parts:
    if endpoint.properties.get("VpcEndpointType") == "Interface":
        zones = len(endpoint.properties["SubnetIds"])
        yield f"in {zones} zones", "interface_endpoint_hour", zones


def _service(pricing: Pricing, service: Resource) -> Parts:
    definition = service.named("TaskDefinition")
    assert definition is not None  # noqa: S101 - a service names a task definition of its own stack
    yield from pricing.fargate(definition, pricing.replicas(service), "tasks")


def _workers(pricing: Pricing, definition: Resource) -> Parts:
    family = str(definition.properties.get("Family"))
    if family in pricing.warm:
        yield "figures that the planner emits each minute", "custom_metric", pricing.table.assumed.agent_metrics
        yield from pricing.fargate(definition, pricing.warm[family], "warm workers")


def _cluster(pricing: Pricing, _cluster: Resource) -> Parts:
    if pricing.watched:
        watched = 1 + len(pricing.templates.of_type("AWS::ECS::Service", "AWS::ECS::TaskDefinition"))
        metrics = watched * pricing.table.assumed.container_insights_metrics
        yield f"Container Insights: {metrics} metrics", "custom_metric", metrics


def _function(pricing: Pricing, function: Resource) -> Parts:
    runs = sum(
        _PER_HOUR.get(rule.properties.get("ScheduleExpression", ""), 0) * pricing.table.hours
        for rule in pricing.templates.of_type("AWS::Events::Rule")
        if function in rule.targets(rule.properties.get("Targets", []))
    )
    if runs:
        package = str(function.properties["Handler"]).partition(".")[0]
        seconds = pricing.table.assumed.seconds
        length = seconds.get(package, seconds["default"])
        size = int(function.properties["MemorySize"]) / 1024
        platform = str(function.properties.get("Architectures", ["x86_64"])[0])
        what = f"{runs} scheduled runs of {length:g} s, {size:g} GB"
        yield what, f"lambda_{platform}_gb_second", runs * length * size
        yield f"{runs} scheduled runs", "lambda_million_requests", runs / 1_000_000


def _web_acl(_pricing: Pricing, acl: Resource) -> Parts:
    rules = len(acl.properties["Rules"])
    yield "web ACL", "web_acl", 1
    yield f"{rules} rules", "web_acl_rule", rules


def _alarm(_pricing: Pricing, alarm: Resource) -> Parts:
    metrics = [each for each in alarm.properties.get("Metrics", []) if "MetricStat" in each]
    yield "alarm", "alarm_metric", len(metrics) or 1


def _log_group(pricing: Pricing, group: Resource) -> Parts:
    sources = [log.named("LogGroupName") for log in pricing.templates.of_type("AWS::EC2::FlowLog")]
    gb = pricing.table.assumed.flow_log_gb if group in sources else pricing.table.assumed.log_group_gb
    yield f"{gb:g} GB of logs", "log_gb", gb


def _metric_filter(_pricing: Pricing, each: Resource) -> Parts:
    metrics = len(each.properties["MetricTransformations"])
    yield "custom metric", "custom_metric", metrics


def _key(pricing: Pricing, key: Resource) -> Parts:
    yield "customer-managed key", "kms_key", 1
    if key.properties.get("KeyUsage") == "SIGN_VERIFY":
        replicas = sum(map(pricing.replicas, pricing.templates.of_type("AWS::ECS::Service")))
        signatures = replicas * pricing.table.hours * 3_600_000 / CHECKPOINT_PERIOD
        yield f"{signatures:,.0f} signatures of the audit log", "kms_10000_signatures", signatures / 10_000
        return
    requests = pricing.table.assumed.kms_10000_requests
    yield f"{requests * 10_000:,.0f} requests", "kms_10000_requests", requests


PRICED: dict[str, Callable[[Pricing, Resource], Parts]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _of("dashboard", "dashboard"),
    "AWS::EC2::EIP": _of("public_ipv4_hour", "public IPv4 address"),
    "AWS::EC2::Instance": _nat_instance,
    "AWS::EC2::NatGateway": _of("nat_gateway_hour", "hours, without data"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ECS::Cluster": _cluster,
    "AWS::ECS::Service": _service,
    "AWS::ECS::TaskDefinition": _workers,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Logs::MetricFilter": _metric_filter,
    "AWS::SecretsManager::Secret": _of("secret", "secret"),
    "AWS::WAFv2::WebACL": _web_acl,
}
