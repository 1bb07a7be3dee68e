"""Task definitions from CloudFormation keep every member.

MiniStack converts a few members of a container definition from the template's PascalCase to the API's camelCase and
leaves the rest, so that `Secrets`, `LinuxParameters`, `Ulimits` or `DependsOn` are silently ignored when a task starts;
it also drops the task definition's own `RuntimePlatform` and `EphemeralStorage`.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import ecs

from outpost_local.extensions.cloudformation.handlers import Created, Properties, camel_case, handler
from outpost_local.extensions.patch import Patch, around

_TASK_MEMBERS = {"RuntimePlatform": "runtimePlatform", "EphemeralStorage": "ephemeralStorage"}


def _create(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    arn, attributes = create(logical_id, props, stack)
    record = ecs._task_defs[ecs._resolve_td_key(arn)]
    for member, name in _TASK_MEMBERS.items():
        if member in props:
            record[name] = camel_case(props[member])
    record["volumes"] = [_volume(volume) for volume in props.get("Volumes", [])]
    return arn, attributes


def _container_definitions(definitions: list[Properties]) -> list[dict[str, Any]]:
    """Return container definitions as RegisterTaskDefinition takes them."""
    return [_container_definition(definition) for definition in definitions]


def _container_definition(definition: Properties) -> dict[str, Any]:
    converted: dict[str, Any] = camel_case(definition)
    if "DockerLabels" in definition:
        converted["dockerLabels"] = definition["DockerLabels"]  # its keys are data, not member names
    logging = definition.get("LogConfiguration")
    if logging and "Options" in logging:
        converted["logConfiguration"]["options"] = logging["Options"]
    return converted


def _volume(volume: Properties) -> dict[str, Any]:
    """Return a volume with the API's spelling, which for EFS is not the template's with another first letter."""
    converted: dict[str, Any] = camel_case(volume)
    efs = converted.pop("eFSVolumeConfiguration", None) or converted.pop("efsVolumeConfiguration", None)
    if efs:
        efs["fileSystemId"] = efs.pop("filesystemId")
        authorization = efs.get("authorizationConfig", {})
        if "iAM" in authorization:
            authorization["iam"] = authorization.pop("iAM")
        converted["efsVolumeConfiguration"] = efs
    return converted


_GAP, _MODULE = "task definitions lose members", "services.cloudformation.provisioners"

PATCHES = (
    Patch(f"{_MODULE}._normalize_container_defs", lambda _: _container_definitions, _GAP),
    # The update handler calls the create function by its module-level name.
    around(handler("AWS::ECS::TaskDefinition", "create"), _create, _GAP, f"{_MODULE}._ecs_task_def_create"),
)
