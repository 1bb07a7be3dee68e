"""Task definitions from CloudFormation keep every member (extends gap 1).

MiniStack converts a few members of a container definition from the template's PascalCase to the API's camelCase and
leaves the rest, so that `Secrets`, `LinuxParameters`, `Ulimits` or `DependsOn` are silently ignored when a task starts;
it also drops the task definition's own `RuntimePlatform` and `EphemeralStorage`.
"""

from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, camel_case

_TASK_MEMBERS = {"RuntimePlatform": "runtimePlatform", "EphemeralStorage": "ephemeralStorage"}


def install() -> None:
    """Replace the conversion and the create handler."""
    create = provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"]["create"]

    def create_with_all_members(logical_id: str, props: Properties, stack: str) -> Created:
        arn, attributes = create(logical_id, props, stack)
        record = ecs._task_defs[ecs._resolve_td_key(arn)]
        for member, name in _TASK_MEMBERS.items():
            if member in props:
                record[name] = camel_case(props[member])
        record["volumes"] = [_volume(volume) for volume in props.get("Volumes", [])]
        return arn, attributes

    provisioners._normalize_container_defs = container_definitions
    # The update handler calls the create function by its module-level name.
    provisioners._ecs_task_def_create = create_with_all_members
    provisioners._RESOURCE_HANDLERS["AWS::ECS::TaskDefinition"]["create"] = create_with_all_members


def container_definitions(definitions: list[Properties]) -> list[dict[str, Any]]:
    """Container definitions as RegisterTaskDefinition would have taken them."""
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
    """A volume with the API's spelling, which for EFS is not the template's with another first letter."""
    converted: dict[str, Any] = camel_case(volume)
    efs = converted.pop("eFSVolumeConfiguration", None) or converted.pop("efsVolumeConfiguration", None)
    if efs:
        efs["fileSystemId"] = efs.pop("filesystemId")
        authorization = efs.get("authorizationConfig", {})
        if "iAM" in authorization:
            authorization["iam"] = authorization.pop("iAM")
        converted["efsVolumeConfiguration"] = efs
    return converted
