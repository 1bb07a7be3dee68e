"""Task definitions from CloudFormation keep every member.

MiniStack converts a few members of a container definition from the template's PascalCase to the API's camelCase and
leaves the rest, so that `Secrets`, `LinuxParameters`, `Ulimits` or `DependsOn` are silently ignored when a task starts;
it also drops the task definition's own `RuntimePlatform` and `EphemeralStorage`.

Containers run with the options and the file system of their definition.

MiniStack passes an engine the environment, added capabilities, network, volumes and platform only, so that isolation
and memory limits would be the engine's defaults. It mounts no EFS, and leaves it out of a function's environment: here
it is a folder of the data folder.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from outpost.names import Env
from outpost_local.extensions.cloudformation.handlers import Created, Properties, handler
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

AFTER = ("lambda_.functions",)

_TASK_MEMBERS = {"RuntimePlatform": "runtimePlatform", "EphemeralStorage": "ephemeralStorage"}


def _create(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    arn, attributes = create(logical_id, props, stack)
    record = ecs._task_defs[ecs._resolve_td_key(arn)]
    for member, name in _TASK_MEMBERS.items():
        if member in props:
            record[name] = provisioners._pascal_to_camel(props[member])
    record["volumes"] = [_volume(volume) for volume in props.get("Volumes", [])]
    return arn, attributes


def _container_definitions(definitions: list[Properties]) -> list[dict[str, Any]]:
    """Return container definitions as RegisterTaskDefinition takes them."""
    return [_container_definition(definition) for definition in definitions]


def _container_definition(definition: Properties) -> dict[str, Any]:
    converted: dict[str, Any] = provisioners._pascal_to_camel(definition)
    if "DockerLabels" in definition:
        converted["dockerLabels"] = definition["DockerLabels"]  # its keys are data, not member names
    logging = definition.get("LogConfiguration")
    if logging and "Options" in logging:
        converted["logConfiguration"]["options"] = logging["Options"]
    return converted


def _volume(volume: Properties) -> dict[str, Any]:
    """Return a volume with the API's spelling, which for EFS is not the template's with another first letter."""
    converted: dict[str, Any] = provisioners._pascal_to_camel(volume)
    efs = converted.pop("eFSVolumeConfiguration", None) or converted.pop("efsVolumeConfiguration", None)
    if efs:
        efs["fileSystemId"] = efs.pop("filesystemId")
        authorization = efs.get("authorizationConfig", {})
        if "iAM" in authorization:
            authorization["iam"] = authorization.pop("iAM")
        converted["efsVolumeConfiguration"] = efs
    return converted


_GAP, _MODULE = "task definitions lose members", "services.cloudformation.provisioners"


Definition = dict[str, Any]
_MIB = 1024 * 1024


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Add what is missing to what MiniStack starts a container with, and give functions the path of the file system."""
    folder, no_files = str(settings.workspaces_dir), "tasks have no EFS"

    def options(build: Callable[..., Definition], container: Definition, task: Definition, *rest: Any) -> Definition:
        built = build(container, task, *rest)
        if container.get("entryPoint"):
            built["entrypoint"] = container["entryPoint"]
        if settings.engine == "process":
            built.pop("platform", None)  # it runs what is installed here
            return built
        return built | engine_options(container, task)

    def binds(found: Callable[..., list[str]], task: Definition, container: Definition) -> list[str]:
        volumes = {volume["name"] for volume in task.get("volumes", []) if volume.get("efsVolumeConfiguration")}
        mounts = [m for m in container.get("mountPoints", []) if m.get("sourceVolume") in volumes]
        return [*found(task, container), *(f"{folder}:{mount['containerPath']}:rw" for mount in mounts)]

    def acquire(acquire_: Callable[..., Any], name: str, config: Definition, *rest: Any, **keywords: Any) -> Any:
        variables = config.get("Environment", {}).get("Variables", {})
        if Env.WORKSPACES_PATH in variables:
            config = config | {"Environment": {"Variables": variables | {Env.WORKSPACES_PATH.value: folder}}}
        return acquire_(name, config, *rest, **keywords)

    return (
        around("services.ecs._build_run_kwargs", options, "containers get no user or memory limit"),
        around("services.ecs._docker_binds_from_taskdef", binds, no_files),
        around("services.lambda_svc.acquire_worker", acquire, no_files),
    )


def engine_options(container: Definition, task: Definition) -> dict[str, Any]:
    """Return the docker-py arguments for what a container definition has beyond MiniStack's own."""
    linux = container.get("linuxParameters") or {}
    memory = int(container.get("memory") or task.get("memory") or 0)
    cpu_units = int(container.get("cpu") or task.get("cpu") or 0)
    options = {
        "user": container.get("user"),
        "working_dir": container.get("workingDirectory"),
        "read_only": bool(container.get("readonlyRootFilesystem")),
        "cap_drop": (linux.get("capabilities") or {}).get("drop"),
        "init": bool(linux.get("initProcessEnabled")),
        "ulimits": [
            {"Name": limit["name"], "Soft": int(limit["softLimit"]), "Hard": int(limit["hardLimit"])}
            for limit in container.get("ulimits") or []
        ],
        "mem_limit": memory * _MIB or None,
        "memswap_limit": memory * _MIB or None,  # Fargate has no swap
        "nano_cpus": cpu_units * 1_000_000_000 // 1024 or None,
        "stop_signal": "SIGTERM",
    }
    return {key: value for key, value in options.items() if value not in (None, [], False)}


PATCHES = (
    Patch(f"{_MODULE}._normalize_container_defs", lambda _: _container_definitions, _GAP),
    # The update handler calls the create function by its module-level name.
    around(handler("AWS::ECS::TaskDefinition", "create"), _create, _GAP, f"{_MODULE}._ecs_task_def_create"),
)
