"""The file system of persistent workspaces: a folder of the data folder, where AWS would mount EFS.

MiniStack mounts nothing: it leaves EFS volumes out of a container's options and out of a function's environment.
"""

from typing import Any

from ministack.services import ecs, lambda_svc

from outpost.names import Env
from outpost_local.settings import Settings


def install(settings: Settings) -> None:
    """Give containers the folder at the path of their mount point, and tell functions where it is."""
    folder = str(settings.workspaces_dir)
    settings.workspaces_dir.mkdir(parents=True, exist_ok=True)
    # The container's harness has a uid of its own; on EFS the access point sets the owner.
    settings.workspaces_dir.chmod(0o777)
    binds, acquire = ecs._docker_binds_from_taskdef, lambda_svc.acquire_worker

    def binds_with_file_system(task: dict[str, Any], container: dict[str, Any]) -> list[str]:
        volumes = {volume["name"] for volume in task.get("volumes", []) if volume.get("efsVolumeConfiguration")}
        mounts = [m for m in container.get("mountPoints", []) if m.get("sourceVolume") in volumes]
        found: list[str] = binds(task, container)
        return [*found, *(f"{folder}:{mount['containerPath']}:rw" for mount in mounts)]

    def acquire_with_file_system(name: str, config: dict[str, Any], *rest: Any, **options: Any) -> Any:
        variables = config.get("Environment", {}).get("Variables", {})
        if Env.WORKSPACES_PATH in variables:
            config = config | {"Environment": {"Variables": variables | {Env.WORKSPACES_PATH.value: folder}}}
        return acquire(name, config, *rest, **options)

    ecs._docker_binds_from_taskdef = binds_with_file_system
    lambda_svc.acquire_worker = acquire_with_file_system
