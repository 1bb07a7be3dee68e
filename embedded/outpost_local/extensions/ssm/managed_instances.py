"""Hybrid instances that run commands: MiniStack knows EC2 instances only.

Each folder `<data folder>/hosts/mi-...` is a machine registered with Systems Manager; `outpost_local.v1` makes them.
Commands are executed for real. `/home/ubuntu` in a command means the machine's own, and in its output is again called
so. A machine whose agent is off (no file `online`) is not in a valid state for commands, as on AWS.
"""

import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from ministack.core.responses import error_response_json, json_response
from ministack.services import ssm

from outpost_local.extensions.cloudformation.handlers import Response, revised
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings
from outpost_local.v1 import hosts_folder

_HOME = "/home/ubuntu"
_SECONDS = 3600


class Execution(NamedTuple):
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


class ManagedInstances:
    """The hybrid instances of one embedded AWS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, bool]:
        """Return whether the agent runs, by instance id."""
        return {host.name: (host / "online").exists() for host in sorted(self._folder.glob("mi-*"))}

    def deregister(self, instance_id: str) -> None:
        """Forget the instance: its agent gets no more commands; its disk stays."""
        (self._folder / instance_id).rename(self._folder / f"retired-{instance_id}")

    def execute(self, instance_id: str, argv: list[str]) -> Execution:
        """Run a command there."""
        root = self._folder / instance_id / "root"
        own = str(root / _HOME.lstrip("/"))
        done = subprocess.run(
            [word.replace(_HOME, own) for word in argv],
            cwd=root,
            env={"HOME": own, "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
        return Execution(done.returncode, done.stdout.replace(own, _HOME), done.stderr.replace(own, _HOME))


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Let Run Command reach the instances, and SSM list and deregister them."""
    instances = ManagedInstances(hosts_folder(settings.data_dir))

    def reachable(ids: Callable[[], set[str]]) -> set[str]:
        return {*ids(), *(name for name, online in instances.all().items() if online)}

    def execute(on_instance: Callable[..., Execution], instance_id: str, argv: list[str]) -> Execution:
        anywhere = instances.execute if instance_id in instances.all() else on_instance
        return anywhere(instance_id, argv)

    def describe(description: Callable[..., Response], data: dict[str, Any]) -> Response:
        ours = [_information(*entry) for entry in instances.all().items()]
        name = "InstanceInformationList"
        return revised(description(data), lambda found: found | {name: _filtered([*found[name], *ours], data)})

    async def serve(handle: Callable[..., Awaitable[Any]], method: str, path: str, headers: Any, *rest: Any) -> Any:
        if headers.get("x-amz-target", "").endswith(".DeregisterManagedInstance"):
            return _deregister(instances, json.loads(rest[0])["InstanceId"])
        return await handle(method, path, headers, *rest)

    reason = "there are no hybrid instances"
    return (
        around("services.ssm._managed_instance_ids", reachable, reason),
        around("services.ec2.exec_in_instance_blocking", execute, reason),
        around("services.ssm._describe_instance_information", describe, reason),
        around("services.ssm.handle_request", serve, reason),
    )


def _information(instance_id: str, online: bool) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "PingStatus": "Online" if online else "ConnectionLost",
        "LastPingDateTime": ssm._now_epoch(),
        "PlatformType": "Linux",
        "PlatformName": "Ubuntu",
        "ResourceType": "ManagedInstance",
        "Name": "claude-executor",
    }


def _filtered(found: list[dict[str, Any]], data: dict[str, Any]) -> list[dict[str, Any]]:
    """Apply the filter that we use; MiniStack ignores all of them."""
    for condition in data.get("Filters") or []:
        if condition["Key"] == "InstanceIds":
            found = [entry for entry in found if entry["InstanceId"] in condition["Values"]]
    return found


def _deregister(instances: ManagedInstances, instance_id: str) -> Any:
    if instance_id not in instances.all():
        return error_response_json("InvalidInstanceId", f"no managed instance {instance_id}", 400)
    instances.deregister(instance_id)
    return json_response({})
