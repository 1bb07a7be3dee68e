"""v1's host, reached through SSM Run Command as v1's clients reach it."""

import base64
import hashlib
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from outpost_migration.v1.calls import MARKER
from outpost_migration.v1.layout import DOCUMENT, OUTPUT_LIMIT
from outpost_ops.errors import OperationError

_SLICE = OUTPUT_LIMIT // 4 * 3 - 600
"""Bytes that still fit, in base 64, in what SSM returns of an output."""
_POLL_SECONDS = 0.3
_ENDED = ("Success", "Failed", "Cancelled", "TimedOut")


@dataclass(frozen=True)
class Result:
    """The result of a command; `seconds` is how long it took, waiting included."""

    exit_code: int
    output: str
    error: str
    seconds: float


@dataclass(frozen=True)
class Host:
    """The managed instance that v1 runs on."""

    ssm: Any
    instance_id: str
    sleep: Callable[[float], None] = time.sleep

    def ping(self) -> str:
        """Return the state of its agent: Online, ConnectionLost, Inactive, or "unknown"."""
        found = self.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [self.instance_id]}])[
            "InstanceInformationList"
        ]
        return str(found[0]["PingStatus"]) if found else "unknown"

    def run(self, command: str, *, marked: bool = True, seconds: float = 600) -> Result:
        """Run a command and wait for its end. Raises OperationError when the host cannot be reached.

        A marked command is the migration's own and counts as no use of v1.
        """
        lines = [MARKER, command] if marked else [command]
        begin = time.monotonic()
        try:
            sent = self.ssm.send_command(
                InstanceIds=[self.instance_id], DocumentName=DOCUMENT, Parameters={"commands": lines}
            )
        except ClientError as error:
            raise self._unreachable(error.response["Error"]["Message"]) from error
        command_id = sent["Command"]["CommandId"]
        while time.monotonic() - begin < seconds:
            found = self._invocation(command_id)
            if found and found["Status"] in _ENDED:
                return Result(
                    exit_code=int(found["ResponseCode"]),
                    output=found["StandardOutputContent"],
                    error=found["StandardErrorContent"],
                    seconds=time.monotonic() - begin,
                )
            self.sleep(_POLL_SECONDS)
        raise self._unreachable(f"command {command_id} did not end within {seconds:.0f} s")

    def checked(self, command: str) -> str:
        """Run a command of ours that must succeed; return its output."""
        result = self.run(command)
        if result.exit_code:
            raise OperationError(
                f"a command on {self.instance_id} failed with exit code {result.exit_code}: "
                f"{result.error.strip() or result.output.strip()}\n  {command}"
            )
        return result.output

    def read_file(self, path: str) -> bytes:
        """Return a file of the host, in slices that SSM does not cut. Raises OperationError if it changed meanwhile."""
        quoted = shlex.quote(path)
        size, digest = self.checked(f"stat -c %s {quoted} && sha256sum < {quoted}").split()[:2]
        content = b""
        while len(content) < int(size):
            piece = self.checked(f"tail -c +{len(content) + 1} {quoted} | head -c {_SLICE} | base64 -w 0")
            content += base64.b64decode(piece.strip())
        if hashlib.sha256(content).hexdigest() != digest:
            raise OperationError(f"{path} on {self.instance_id} changed while it was read: run the step again")
        return content

    def _invocation(self, command_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.ssm.get_command_invocation(CommandId=command_id, InstanceId=self.instance_id)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvocationDoesNotExist":  # not delivered yet
                return None
            raise
        return found

    def _unreachable(self, reason: str) -> OperationError:
        return OperationError(
            f"v1's host {self.instance_id} cannot be reached: {reason}. Check its SSM agent "
            f"(`aws ssm describe-instance-information`), then run the step again"
        )


def find_host(ssm: Any, wanted: str | None) -> Host:
    """Return the host: the one that is named, else the only hybrid instance. Raises OperationError."""
    if wanted:
        return Host(ssm, wanted)
    pages = ssm.get_paginator("describe_instance_information").paginate()
    names = [
        entry["InstanceId"]
        for page in pages
        for entry in page["InstanceInformationList"]
        if entry["InstanceId"].startswith("mi-")
    ]
    if len(names) != 1:
        raise OperationError(
            f"{len(names)} hybrid instances are registered ({', '.join(names) or 'none'}): name v1's with --instance"
        )
    return Host(ssm, names[0])
