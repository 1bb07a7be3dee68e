"""v1's host and its scripts, reached through SSM Run Command as v1's clients reach it."""

import base64
import hashlib
import shlex
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from outpost_migration.monitor.documents import Part
from outpost_migration.v1.calls import MARKER
from outpost_migration.v1.layout import DISABLED, DOCUMENT, OUTPUT_LIMIT, SCRIPTS, SCRIPTS_FOLDER
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


class Tool(Part):
    """A script on v1's host."""

    name: str
    size: int
    sha256: str
    disabled: bool

    @property
    def file(self) -> str:
        """Its file's name."""
        return self.name + (DISABLED if self.disabled else "")


_LIST = f"""cd {SCRIPTS_FOLDER} || exit 3
for name in {" ".join(SCRIPTS)}; do
  for file in "$name" "$name{DISABLED}"; do
    [ -f "$file" ] && echo "$file $(stat -c %s "$file") $(sha256sum < "$file" | cut -d' ' -f1)"
  done
done
true"""


@dataclass(frozen=True)
class Host:
    """The managed instance that v1 runs on."""

    ssm: Any
    instance_id: str
    sleep: Callable[[float], None] = time.sleep

    def ping(self) -> str:
        """Return the state of its agent: Online, ConnectionLost, Inactive, or "unknown"."""
        wanted = [{"Key": "InstanceIds", "Values": [self.instance_id]}]
        found = self.ssm.describe_instance_information(Filters=wanted)["InstanceInformationList"]
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
            with suppress(self.ssm.exceptions.InvocationDoesNotExist):  # it is not delivered yet
                found = self.ssm.get_command_invocation(CommandId=command_id, InstanceId=self.instance_id)
                if found["Status"] in _ENDED:
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

    def scripts(self) -> list[Tool]:
        """Return the scripts that are there, in use or not. Raises OperationError, as all that follow."""
        tools = []
        for line in self.checked(_LIST).splitlines():
            file, size, digest = line.split()
            disabled = file.endswith(DISABLED)
            tools.append(Tool(name=file.removesuffix(DISABLED), size=int(size), sha256=digest, disabled=disabled))
        return tools

    def active_scripts(self) -> list[str]:
        """Return the names of the scripts in use."""
        return [tool.name for tool in self.scripts() if not tool.disabled]

    def disable(self, names: Iterable[str]) -> None:
        """Rename scripts so that they cannot be called; those that are disabled stay so."""
        self._move((name, f"{name}{DISABLED}") for name in names)

    def enable(self, names: Iterable[str]) -> None:
        """Undo `disable`."""
        self._move((f"{name}{DISABLED}", name) for name in names)

    def remove_disabled(self, names: Iterable[str]) -> None:
        """Delete scripts that are out of use."""
        files = " ".join(shlex.quote(f"{name}{DISABLED}") for name in names)
        self.checked(f"cd {SCRIPTS_FOLDER} && rm -f -- {files}")

    def _move(self, pairs: Iterable[tuple[str, str]]) -> None:
        quoted = ((shlex.quote(old), shlex.quote(new)) for old, new in pairs)
        moves = [f"[ ! -f {old} ] || mv -f -- {old} {new} || exit 1" for old, new in quoted]
        self.checked("\n".join([f"cd {SCRIPTS_FOLDER} || exit 1", *moves]))

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
    ids = pages.search("InstanceInformationList[].InstanceId")
    names = [instance_id for instance_id in ids if instance_id.startswith("mi-")]
    if len(names) != 1:
        raise OperationError(
            f"{len(names)} hybrid instances are registered ({', '.join(names) or 'none'}): name v1's with --instance"
        )
    return Host(ssm, names[0])
