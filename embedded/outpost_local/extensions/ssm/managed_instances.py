"""Hybrid instances that answer Run Command (extends SSM): MiniStack knows EC2 instances only.

Each folder `<data folder>/hosts/mi-...` is a machine registered with Systems Manager; `outpost_local.v1` makes them.
Commands are executed for real. `/home/ubuntu` in a command means the machine's own, and in its output is again called
so. A machine whose agent is off (no file `online`) is not in a valid state for commands, as on AWS.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ec2, ssm

from outpost_local.settings import Settings
from outpost_local.v1 import hosts_folder

_HOME = "/home/ubuntu"
_SECONDS = 3600


class ManagedInstances:
    """The hybrid instances of one embedded AWS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, bool]:
        """Instance id -> whether its agent runs."""
        return {host.name: (host / "online").exists() for host in sorted(self._folder.glob("mi-*"))}

    def deregister(self, instance_id: str) -> None:
        """Forget the instance: its agent gets no more commands; its disk stays."""
        (self._folder / instance_id).rename(self._folder / f"retired-{instance_id}")

    def execute(self, instance_id: str, argv: list[str]) -> tuple[int, str, str]:
        """Run a command there; answers exit code, standard output and standard error."""
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
        return done.returncode, done.stdout.replace(own, _HOME), done.stderr.replace(own, _HOME)


def install(settings: Settings) -> None:
    """Let Run Command reach the instances, and SSM list and deregister them."""
    instances = ManagedInstances(hosts_folder(settings.data_dir))
    reachable, execute, describe, serve = (
        ssm._managed_instance_ids,
        ec2.exec_in_instance_blocking,
        ssm._describe_instance_information,
        ssm.handle_request,
    )

    def all_reachable() -> set[str]:
        return {*reachable(), *(name for name, online in instances.all().items() if online)}

    def execute_anywhere(instance_id: str, argv: list[str]) -> tuple[int, str, str]:
        if instance_id in instances.all():
            return instances.execute(instance_id, argv)
        result: tuple[int, str, str] = execute(instance_id, argv)
        return result

    def describe_all(data: dict[str, Any]) -> Any:
        status, headers, body = describe(data)
        answer = json.loads(body)
        answer["InstanceInformationList"] += [_information(*entry) for entry in instances.all().items()]
        answer["InstanceInformationList"] = _filtered(answer["InstanceInformationList"], data)
        return status, headers, json.dumps(answer).encode()

    async def serve_more(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if headers.get("x-amz-target", "").endswith(".DeregisterManagedInstance"):
            return _deregister(instances, json.loads(body)["InstanceId"])
        return await serve(method, path, headers, body, query)

    ssm._managed_instance_ids = all_reachable
    ec2.exec_in_instance_blocking = execute_anywhere
    ssm._describe_instance_information = describe_all
    ssm.handle_request = serve_more


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
