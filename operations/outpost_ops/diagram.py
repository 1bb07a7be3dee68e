"""The architecture as a Mermaid flowchart, from the templates of one environment: parts, and who may call what."""

from collections.abc import Iterator
from dataclasses import dataclass

from outpost_ops.templates import Resource, Templates

COLOURS = {
    "outside": "#6b7280",
    "Network": "#8b5cf6",
    "Data": "#0e7490",
    "Audit": "#a16207",
    "Fleet": "#b45309",
    "ControlPlane": "#1d4ed8",
    "Observability": "#be185d",
    "Migration": "#4d7c0f",
}


_AT_DEPLOY = ("default_group", "deletion_protection")
"""Packages of functions that run at a deploy only."""


@dataclass(frozen=True)
class Box:
    """A node of the picture: the stack it belongs to, and which of its resources it stands for."""

    stack: str
    title: str
    types: tuple[str, ...] = ()
    note: str = ""
    only: str = ""
    """The package of the one function that it stands for; else it stands for all but those of `but`."""
    but: tuple[str, ...] = _AT_DEPLOY

    def holds(self, resource: Resource) -> bool:
        """Return whether a resource belongs into the box."""
        package = str(resource.properties.get("Handler", "")).partition(".")[0]
        taken = package == self.only if self.only else package not in self.but
        return resource.stack == self.stack and resource.type.removeprefix("AWS::") in self.types and taken


_LAMBDA = ("Lambda::Function",)
BOXES = {
    "clients": Box("outside", "Clients", note="REST, SSE, MCP"),
    "balancer": Box("ControlPlane", "Load balancer", ("ElasticLoadBalancingV2::LoadBalancer", "WAFv2::WebACL")),
    "api": Box("ControlPlane", "Control plane", ("ECS::Service", "ECS::TaskDefinition", "Lambda::Function")),
    "tables": Box("Data", "Tables", ("DynamoDB::Table",)),
    "providers": Box("outside", "Git hosts, models", note="over HTTPS"),
    "queues": Box("Data", "Wake-ups", ("SQS::Queue",)),
    "broker": Box("Fleet", "Broker", _LAMBDA, "gives work, takes reports", only="broker"),
    "artifacts": Box("Data", "Artifacts", ("S3::Bucket",)),
    "nat": Box("Network", "Way out", ("EC2::NatGateway", "EC2::Instance", "EC2::VPCEndpoint")),
    "workers": Box("Fleet", "Workers", ("ECS::TaskDefinition",), "one task, one dispatch"),
    "planner": Box("Fleet", "Planner", _LAMBDA, "launches what demand needs", only="planner"),
    "files": Box("Data", "Workspaces", ("EFS::FileSystem",)),
    "observability": Box("Observability", "Operators", ("CloudWatch::Dashboard", "CloudWatch::Alarm")),
    "reconciliation": Box("Fleet", "Events, reconciler", _LAMBDA, but=("broker", "planner")),
    "secrets": Box("Data", "Secrets and keys", ("SecretsManager::Secret", "KMS::Key")),
    "audit": Box("Audit", "Audit", ("CloudTrail::Trail", "S3::Bucket")),
    "migration": Box("Migration", "Migration", ("Lambda::Function", "SecretsManager::Secret"), "until v1 is gone"),
    "backup": Box("Data", "Backup", ("Backup::BackupVault",)),
}
_STATED = (("clients", "balancer"), ("workers", "nat"), ("nat", "providers"))
"""Arrows that no template can state: what happens over the network."""


def draw(templates: Templates) -> str:
    """Return the flowchart: nodes by what is deployed, arrows by what roles may do and what triggers what."""
    content = {name: [each for each in templates.resources if box.holds(each)] for name, box in BOXES.items()}
    shown = {name: box for name, box in BOXES.items() if content[name] or box.stack == "outside"}
    arrows = sorted(pair for pair in {*_STATED, *_arrows(templates, content)} if set(pair) <= set(shown))
    lines = ["flowchart LR"]
    for stack, colour in COLOURS.items():
        nodes = {name: _label(box, content[name]) for name, box in shown.items() if box.stack == stack}
        if nodes:
            lines.append(f"    subgraph {stack}")
            lines += [f'        {name}["{label}"]' for name, label in nodes.items()]
            lines += ["    end", f"    classDef {stack} fill:#fff,stroke:{colour},stroke-width:2px,color:#1f2937"]
            lines.append(f"    class {','.join(nodes)} {stack}")
    lines += [f"    {source} --> {target}" for source, target in arrows]
    return "\n".join(lines) + "\n"


def _arrows(templates: Templates, content: dict[str, list[Resource]]) -> Iterator[tuple[str, str]]:
    """Yield who may call what, by policies of roles, and what starts or feeds what."""
    place = {each.place: name for name, found in content.items() for each in found}
    actors = _actors(templates, place)
    for policy in templates.of_type("AWS::IAM::Policy"):
        roles = policy.targets(policy.properties["Roles"])
        resources = [statement.get("Resource") for statement in policy.properties["PolicyDocument"]["Statement"]]
        called = {
            actors.get(target.place) or place.get(target.place)
            for target in policy.targets(resources)
            if target.type != "AWS::KMS::Key"  # used with whatever it encrypts
        }
        callers = {actors[role.place] for role in roles if role.place in actors}
        yield from ((caller, name) for caller in callers for name in called if name and name != caller)
    yield from _feeds(templates, place)


def _feeds(templates: Templates, place: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what passes something on: requests, changes of rows, records of calls."""
    for service in templates.of_type("AWS::ECS::Service"):
        if service.properties.get("LoadBalancers"):
            yield "balancer", place[service.place]
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        source, fed = mapping.named("EventSourceArn"), mapping.named("FunctionName")
        if source and fed:
            yield place[source.place], place[fed.place]
    for trail in templates.of_type("AWS::CloudTrail::Trail"):
        for bucket in trail.targets(trail.properties.get("EventSelectors", [])):
            yield place[bucket.place], place[trail.place]


def _actors(templates: Templates, place: dict[str, str]) -> dict[str, str]:
    """Return the box of each role: that of the function or the task that acts in it."""
    roles = {"AWS::Lambda::Function": "Role", "AWS::ECS::TaskDefinition": "TaskRoleArn"}
    return {
        role.place: place[user.place]
        for user in templates.of_type(*roles)
        if user.place in place
        for role in user.all_named(roles[user.type])
    }


def _label(box: Box, found: list[Resource]) -> str:
    return "<br/>".join((f"<b>{box.title}</b>", *([box.note] if box.note else []), *_summary(found)))


_NAMES = {
    "Backup::BackupVault": "AWS Backup vault",
    "CloudTrail::Trail": "CloudTrail",
    "CloudWatch::Alarm": "alarm",
    "CloudWatch::Dashboard": "dashboard",
    "DynamoDB::Table": "DynamoDB table",
    "EC2::Instance": "NAT instance",
    "EC2::NatGateway": "NAT gateway",
    "EC2::VPCEndpoint": "VPC endpoint",
    "ECS::Service": "Fargate service",
    "ECS::TaskDefinition": "Fargate task",
    "EFS::FileSystem": "EFS file system",
    "ElasticLoadBalancingV2::LoadBalancer": "ALB",
    "KMS::Key": "KMS key",
    "Lambda::Function": "Lambda",
    "S3::Bucket": "S3 bucket",
    "SQS::Queue": "SQS queue",
    "SecretsManager::Secret": "secret",
    "WAFv2::WebACL": "WAF",
}


def _summary(found: list[Resource]) -> Iterator[str]:
    """Yield each type with its number, two to a line."""
    types = [each.type.removeprefix("AWS::") for each in found]
    texts = []
    for kind in dict.fromkeys(types):
        count, name = types.count(kind), _NAMES[kind]
        texts.append(name if count == 1 else f"{count} {name}s".replace("ys ", "ies "))
    yield from (", ".join(texts[start : start + 2]) for start in range(0, len(texts), 2))
