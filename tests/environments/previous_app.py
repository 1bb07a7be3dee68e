"""Dev as the previous release deployed it: its templates (stacks/previous), with the code that is built today.

The code of that release is not in this checkout; what an update does to resources is what its test looks at.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import OutpostApp

PREVIOUS = Path(__file__).resolve().parents[2] / "stacks" / "previous"
_BUILT = {
    "AWS::Lambda::Function": ("Code", "Runtime", "Architectures"),
    "AWS::ECS::TaskDefinition": ("RuntimePlatform",),
}
"""Type -> properties that name what is built on this machine."""


def main() -> None:
    """Synthesize today's app, then put the previous templates in place of its own."""
    assembly = Path(OutpostApp().synth().directory)
    (stage,) = assembly.glob("assembly-*")
    current = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in stage.glob("*.template.json")}
    functions = [resource for template in current.values() for resource in _of_type(template, "AWS::Lambda::Function")]
    for name, template in current.items():
        previous = json.loads((PREVIOUS / name).read_text(encoding="utf-8"))
        for logical_id, resource in previous["Resources"].items():
            same = template["Resources"].get(logical_id, functions[0])
            _take_built(resource, same if same["Type"] == resource["Type"] else functions[0])
        _replace(stage, name, json.dumps(previous))


def _of_type(template: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (resource for resource in template["Resources"].values() if resource["Type"] == kind)


def _take_built(resource: dict[str, Any], current: dict[str, Any]) -> None:
    if resource["Type"] not in _BUILT or resource["Type"] != current["Type"]:
        return
    for name in _BUILT[resource["Type"]]:
        resource["Properties"][name] = current["Properties"][name]
    pairs = zip(
        resource["Properties"].get("ContainerDefinitions", []),
        current["Properties"].get("ContainerDefinitions", []),
        strict=False,
    )
    for container, built in pairs:
        container["Image"] = built["Image"]
        known = {variable["Name"] for variable in container["Environment"]}
        # Today's code runs in it, which does not start without its variables.
        container["Environment"] += [
            {"Name": variable["Name"], "Value": "1"}
            for variable in built["Environment"]
            if variable["Name"] not in known
        ]


def _replace(stage: Path, name: str, text: str) -> None:
    """Write a template, under a hash of its own: the CLI uploads nothing twice."""
    (stage / name).write_text(text, encoding="utf-8")
    assets = stage / name.replace(".template.json", ".assets.json")
    files = json.loads(assets.read_text(encoding="utf-8"))["files"]
    (old,) = [hash_ for hash_, file in files.items() if file["source"]["path"] == name]
    new = hashlib.sha256(text.encode()).hexdigest()
    for file in (assets, stage / "manifest.json"):
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    main()
