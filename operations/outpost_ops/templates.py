"""The synthesized templates of one environment, read together: resources, and what they refer to across stacks."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
    file: str = ""
    """Path of its template."""
    attributes: Properties = field(default_factory=dict, repr=False, compare=False)
    """What stands beside the properties: DeletionPolicy, DependsOn, Condition, ..."""

    @property
    def place(self) -> str:
        """Where to find it: `<stack>/<logical id>`."""
        return f"{self.stack}/{self.logical_id}"


class Templates:
    """The stacks of one environment; what one reads of another (an SSM parameter) is resolved."""

    def __init__(
        self, environment: str, stacks: Mapping[str, Properties], files: Mapping[str, str] | None = None
    ) -> None:
        """Take the templates by stack name."""
        self.environment = environment
        self.stacks = stacks
        self.resources = [
            Resource(stack, logical_id, body["Type"], body.get("Properties", {}), (files or {}).get(stack, ""), body)
            for stack, template in stacks.items()
            for logical_id, body in template.get("Resources", {}).items()
        ]
        self._by_place = {resource.place: resource for resource in self.resources}
        self._published = {
            resource.properties["Name"]: (resource.properties["Value"], resource.stack)
            for resource in self.of_type("AWS::SSM::Parameter")
            if "Name" in resource.properties
        }

    def of_type(self, *types: str) -> list[Resource]:
        """Return the resources of these types, stack by stack."""
        return [resource for resource in self.resources if resource.type in types]

    def origin(self, value: object, stack: str) -> tuple[object, str]:
        """Return what another stack's value is there, and the name of that stack; any other value as it is."""
        match value:
            case {"Ref": str(logical_id)}:
                read = self.stacks[stack].get("Parameters", {}).get(logical_id, {}).get("Default")
                if read in self._published:
                    return self.origin(*self._published[read])
        return value, stack

    def target(self, value: object, stack: str) -> Resource | None:
        """Return the resource that a Ref or Fn::GetAtt in this stack stands for, which may be another stack's."""
        value, stack = self.origin(value, stack)
        match value:
            case {"Ref": str(logical_id)} | {"Fn::GetAtt": [str(logical_id), *_]}:
                return self._by_place.get(f"{stack}/{logical_id}")
        return None

    def targets(self, value: object, stack: str) -> Iterator[Resource]:
        """Yield every resource that a value refers to, at any depth."""
        found = self.target(value, stack)
        if found is not None:
            yield found
            return
        children: Iterable[object] = (
            value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        )
        for child in children:
            yield from self.targets(child, stack)


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
