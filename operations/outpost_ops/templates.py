"""The synthesized templates of one environment, read together: resources, and what they refer to across stacks."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Properties = Mapping[str, Any]
STAGE = "assembly-Outpost-"
"""What the name of a stage's folder begins with; the environment's name follows."""
_HASH = re.compile("[0-9A-F]{8}$")


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    stack: str
    """Name of its stack without the environment: Network, Data, ..."""
    logical_id: str
    type: str
    properties: Properties = field(repr=False, compare=False)
    file: str
    """Path of its template."""
    attributes: Properties = field(repr=False, compare=False)
    """What stands beside the properties: DeletionPolicy, DependsOn, Condition, ..."""
    templates: "Templates" = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        """Where to find it: `<stack>/<logical id>`."""
        return f"{self.stack}/{self.logical_id}"

    def origin(self, value: object) -> "tuple[object, Resource]":
        """Return a value of this resource as it is where it comes from, and the resource that it stands in there."""
        match value:
            case {"Ref": str(logical_id)}:
                parameters = self.templates.stacks[self.stack].get("Parameters", {})
                published = self.templates.published.get(parameters.get(logical_id, {}).get("Default"))
                if published is not None:
                    return published.origin(published.properties["Value"])
        return value, self

    def target(self, value: object) -> "Resource | None":
        """Return the resource that a Ref or Fn::GetAtt in this one stands for, which may be another stack's."""
        value, place = self.origin(value)
        match value:
            case {"Ref": str(logical_id)} | {"Fn::GetAtt": [str(logical_id), *_]}:
                return self.templates.by_place.get(f"{place.stack}/{logical_id}")
        return None

    def named(self, path: str) -> "Resource | None":
        """Return the resource that the property at a path refers to, None for another value."""
        return next(self.all_named(path), None)

    def all_named(self, path: str) -> "Iterator[Resource]":
        """Yield the resources that the values at a path refer to."""
        for value in values_at(self.properties, path):
            found = self.target(value)
            if found is not None:
                yield found

    def targets(self, value: object) -> "Iterator[Resource]":
        """Yield every resource that a value in this one refers to, at any depth."""
        found = self.target(value)
        if found is not None:
            yield found
            return
        children: Iterable[object] = (
            value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        )
        for child in children:
            yield from self.targets(child)


def values_at(value: object, path: str) -> Iterator[Any]:
    """Yield what stands at a path (`Targets.RoleArn`), in every element where it leads through a list."""
    if isinstance(value, list):
        for each in value:
            yield from values_at(each, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        name, _, rest = path.partition(".")
        if name in value:
            yield from values_at(value[name], rest)


class Templates:
    """The stacks of one environment; what one reads of another (an SSM parameter) is resolved."""

    def __init__(
        self, environment: str, stacks: Mapping[str, Properties], files: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Take the templates by stack name, and their paths."""
        self.environment = environment
        self.stacks = stacks
        self.resources = [
            Resource(stack, logical_id, body["Type"], body.get("Properties", {}), files.get(stack, ""), body, self)
            for stack, template in stacks.items()
            for logical_id, body in template.get("Resources", {}).items()
        ]
        self.by_place = {resource.place: resource for resource in self.resources}
        self.published = {
            parameter.properties["Name"]: parameter
            for parameter in self.of_type("AWS::SSM::Parameter")
            if "Name" in parameter.properties
        }

    def public_tables(self) -> set[Resource]:
        """Return the route tables with a route to an internet gateway."""
        routes = [(each.named("RouteTableId"), each.named("GatewayId")) for each in self.of_type("AWS::EC2::Route")]
        return {table for table, gateway in routes if table and gateway and gateway.type == "AWS::EC2::InternetGateway"}

    def of_type(self, *types: str) -> list[Resource]:
        """Return the resources of these types, stack by stack."""
        return [resource for resource in self.resources if resource.type in types]


def read_templates(paths: Iterable[str | Path]) -> list[Templates]:
    """Read the templates at these paths, one `Templates` a folder: the CDK writes each stage into one of its own.

    The environment of `assembly-Outpost-<name>` is `<name>`; another folder is its own environment.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for path in sorted(Path(path) for path in paths):
        environment = path.parent.name.removeprefix(STAGE)
        stack = _HASH.sub("", path.name.removesuffix(".template.json")).removeprefix(f"Outpost{environment}")
        folders.setdefault(path.parent, {})[stack] = path
    return [
        Templates(
            folder.name.removeprefix(STAGE),
            {stack: json.loads(path.read_text(encoding="utf-8")) for stack, path in files.items()},
            {stack: str(path) for stack, path in files.items()},
        )
        for folder, files in folders.items()
    ]


def read_assembly(folder: Path) -> list[Templates]:
    """Read every environment that a synthesis wrote into `folder`."""
    return read_templates(folder.glob(f"{STAGE}*/*.template.json"))
