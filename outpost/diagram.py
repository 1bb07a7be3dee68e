"""The architecture as a picture, from the templates of one environment: what there is, and who may call what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from outpost.templates import Resource, Templates

WIDTH, _BOX, _GAP_X, _ROW = 1000, 190, 66, 118
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
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


@dataclass(frozen=True)
class Box:
    """A place in the picture: column, row, the stack it belongs to, and how its resources are told."""

    column: int
    row: int
    stack: str
    title: str
    holds: Callable[[Resource], bool]
    note: str = ""


def _is(stack: str, *types: str) -> Callable[[Resource], bool]:
    return lambda resource: resource.stack == stack and resource.type.removeprefix("AWS::") in types


def _package(resource: Resource) -> str:
    return str(resource.properties.get("Handler", "")).partition(".")[0]


def _function(package: str) -> Callable[[Resource], bool]:
    return lambda resource: resource.type == "AWS::Lambda::Function" and _package(resource) == package


def _healing(resource: Resource) -> bool:
    """Take the Fleet's functions that neither give work nor launch."""
    functions = resource.stack == "Fleet" and resource.type == "AWS::Lambda::Function"
    return functions and _package(resource) not in ("broker", "capacity")


def _nothing(_resource: Resource) -> bool:
    return False


BOXES = {
    "clients": Box(0, 0, "outside", "Clients", _nothing, "REST, SSE, MCP"),
    "balancer": Box(
        1,
        0,
        "ControlPlane",
        "Load balancer",
        _is("ControlPlane", "ElasticLoadBalancingV2::LoadBalancer", "WAFv2::WebACL"),
    ),
    "api": Box(
        2,
        0,
        "ControlPlane",
        "Control plane",
        _is("ControlPlane", "ECS::Service", "ECS::TaskDefinition", "Lambda::Function"),
    ),
    "tables": Box(3, 0, "Data", "Tables", _is("Data", "DynamoDB::Table")),
    "providers": Box(0, 1, "outside", "Git hosts, models", _nothing, "over HTTPS"),
    "queues": Box(1, 1, "Data", "Wake-ups", _is("Data", "SQS::Queue")),
    "broker": Box(2, 1, "Fleet", "Broker", _function("broker"), "gives work, takes reports"),
    "artifacts": Box(3, 1, "Data", "Artifacts", _is("Data", "S3::Bucket")),
    "nat": Box(0, 2, "Network", "Way out", _is("Network", "EC2::NatGateway", "EC2::Instance", "EC2::VPCEndpoint")),
    "workers": Box(1, 2, "Fleet", "Workers", _is("Fleet", "ECS::TaskDefinition"), "one task, one dispatch"),
    "planner": Box(2, 2, "Fleet", "Planner", _function("capacity"), "launches what demand needs"),
    "files": Box(3, 2, "Data", "Workspaces", _is("Data", "EFS::FileSystem")),
    "observability": Box(
        0, 3, "Observability", "Operators", _is("Observability", "CloudWatch::Dashboard", "CloudWatch::Alarm")
    ),
    "healing": Box(2, 3, "Fleet", "Events and sweeps", _healing),
    "secrets": Box(3, 3, "Data", "Secrets and keys", _is("Data", "SecretsManager::Secret", "KMS::Key")),
    "audit": Box(1, 3, "Audit", "Audit", _is("Audit", "CloudTrail::Trail", "S3::Bucket")),
    "migration": Box(
        1,
        4,
        "Migration",
        "Migration",
        _is("Migration", "Lambda::Function", "SecretsManager::Secret"),
        "until v1 is gone",
    ),
    "backup": Box(3, 4, "Data", "Backup", _is("Data", "Backup::BackupVault")),
}
_STATED = (("clients", "balancer"), ("workers", "nat"), ("nat", "providers"))
"""Arrows that no template can state: what happens over the network."""


def draw(templates: Templates) -> str:
    """Return the picture as SVG: boxes by what is deployed, arrows by what roles may do and what triggers what."""
    content = {name: [each for each in templates.resources if box.holds(each)] for name, box in BOXES.items()}
    shown = {name for name, box in BOXES.items() if content[name] or box.stack == "outside"}
    arrows = sorted(pair for pair in {*_STATED, *_arrows(templates, content)} if set(pair) <= shown)
    height = 74 + _ROW * (1 + max(BOXES[name].row for name in shown))
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' {_FONT}>",
            f"<title>Architecture of Outpost {escape(templates.environment)}, drawn from its templates</title>",
            f"<rect width='{WIDTH}' height='{height}' rx='10' fill='#ffffff'/>",
            *_legend({BOXES[name].stack for name in shown}),
            *(_arrow(*pair) for pair in arrows),
            *(line for name in BOXES if name in shown for line in _box(BOXES[name], content[name])),
            "</svg>",
            "",
        ]
    )


def _arrows(templates: Templates, content: dict[str, list[Resource]]) -> Iterator[tuple[str, str]]:
    """Yield who may call what, by policies of roles, and what starts or feeds what."""
    place = {each.place: name for name, found in content.items() for each in found}
    actors = _actors(templates, place)
    for policy in templates.of_type("AWS::IAM::Policy"):
        roles = templates.targets(policy.properties["Roles"], policy.stack)
        resources = [statement.get("Resource") for statement in policy.properties["PolicyDocument"]["Statement"]]
        called = {
            actors.get(target.place) or place.get(target.place)
            for target in templates.targets(resources, policy.stack)
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
        source = templates.target(mapping.properties["EventSourceArn"], mapping.stack)
        fed = templates.target(mapping.properties["FunctionName"], mapping.stack)
        if source and fed:
            yield place[source.place], place[fed.place]
    for trail in templates.of_type("AWS::CloudTrail::Trail"):
        for bucket in templates.targets(trail.properties.get("EventSelectors", []), trail.stack):
            yield place[bucket.place], place[trail.place]


def _actors(templates: Templates, place: dict[str, str]) -> dict[str, str]:
    """Return the box of each role: that of the function or the task that acts in it."""
    users = [(each, each.properties.get("Role")) for each in templates.of_type("AWS::Lambda::Function")]
    users += [(each, each.properties.get("TaskRoleArn")) for each in templates.of_type("AWS::ECS::TaskDefinition")]
    return {
        role.place: place[user.place]
        for user, reference in users
        for role in templates.targets(reference, user.stack)
        if user.place in place
    }


def _corner(box: Box) -> tuple[int, int]:
    return 21 + box.column * (_BOX + _GAP_X), 56 + box.row * _ROW


def _box(box: Box, found: list[Resource]) -> Iterator[str]:
    x, y = _corner(box)
    colour = COLOURS[box.stack]
    lines = [*([box.note] if box.note else []), *_summary(found)][:3]
    yield f"<g><rect x='{x}' y='{y}' width='{_BOX}' height='84' rx='8' fill='#fff' stroke='{colour}' stroke-width='2'/>"
    yield f"<rect x='{x}' y='{y}' width='{_BOX}' height='25' rx='7' fill='{colour}'/>"
    yield f"<text x='{x + 10}' y='{y + 17}' font-size='14' font-weight='600' fill='#fff'>{escape(box.title)}</text>"
    for number, line in enumerate(lines):
        yield f"<text x='{x + 10}' y='{y + 43 + 16 * number}' font-size='12' fill='#1f2937'>{escape(line)}</text>"
    yield "</g>"


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


def _arrow(source: str, target: str) -> str:
    """Return a curve from one box to another, in the colour of the one that acts."""
    start, end = BOXES[source], BOXES[target]
    (x1, y1), (x2, y2) = _corner(start), _corner(end)
    spread = 34 + 12 * ((end.row - start.row + 4) % 5)
    if start.column == end.column:
        down = end.row > start.row
        x = x1 + 50 + 22 * abs(end.row - start.row)
        ends = (x, y1 + 84 if down else y1, x, y2 if down else y2 + 84)
        bend = 40 * (abs(end.row - start.row) - 1)
        path = f"M{ends[0]},{ends[1]} C{x + bend},{ends[1]} {x + bend},{ends[3]} {ends[2]},{ends[3]}"
    else:
        right = end.column > start.column
        ends = (x1 + _BOX if right else x1, y1 + spread, x2 if right else x2 + _BOX, y2 + 84 - spread // 2)
        middle = (ends[0] + ends[2]) // 2
        path = f"M{ends[0]},{ends[1]} C{middle},{ends[1]} {middle},{ends[3]} {ends[2]},{ends[3]}"
    colour = COLOURS[start.stack]
    head = _head(ends, vertical=start.column == end.column)
    return (
        f"<g fill='none' stroke='{colour}' stroke-width='1.6' stroke-opacity='.75'><title>{source} to {target}</title>"
        f"<path d='{path}'/><path d='{head}' fill='{colour}'/></g>"
    )


def _head(ends: tuple[int, int, int, int], *, vertical: bool) -> str:
    x1, y1, x, y = ends
    if vertical:
        back = -7 if y > y1 else 7
        return f"M{x},{y} l-4,{back} l8,0 Z"
    back = -7 if x > x1 else 7
    return f"M{x},{y} l{back},-4 l0,8 Z"


def _legend(stacks: set[str]) -> Iterator[str]:
    x = 20
    for stack, colour in COLOURS.items():
        if stack in stacks:
            yield f"<rect x='{x}' y='18' width='14' height='14' rx='3' fill='{colour}'/>"
            yield f"<text x='{x + 20}' y='30' font-size='13' fill='#1f2937'>{escape(stack)}</text>"
            x += 44 + 8 * len(stack)
