"""v1's scripts on the host: what is there, and taking them in and out of use."""

import shlex
from collections.abc import Sequence

from outpost_migration.host import Host
from outpost_migration.monitor.documents import Part
from outpost_migration.v1.layout import DISABLED, SCRIPTS, SCRIPTS_FOLDER


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


def inventory(host: Host) -> list[Tool]:
    """Return the scripts that are there, in use or not. Raises OperationError."""
    tools = []
    for line in host.checked(_LIST).splitlines():
        file, size, digest = line.split()
        disabled = file.endswith(DISABLED)
        tools.append(Tool(name=file.removesuffix(DISABLED), size=int(size), sha256=digest, disabled=disabled))
    return tools


def active(tools: Sequence[Tool]) -> list[str]:
    """Return the names of the scripts in use."""
    return [tool.name for tool in tools if not tool.disabled]


def disable(host: Host, names: Sequence[str]) -> None:
    """Rename scripts so that they cannot be called; those that are disabled stay so."""
    _move(host, [(name, f"{name}{DISABLED}") for name in names])


def enable(host: Host, names: Sequence[str]) -> None:
    """Undo `disable`."""
    _move(host, [(f"{name}{DISABLED}", name) for name in names])


def remove_disabled(host: Host, names: Sequence[str]) -> None:
    """Delete scripts that are out of use."""
    files = " ".join(shlex.quote(f"{name}{DISABLED}") for name in names)
    host.checked(f"cd {SCRIPTS_FOLDER} && rm -f -- {files}")


def _move(host: Host, pairs: Sequence[tuple[str, str]]) -> None:
    moves = [
        f"[ ! -f {shlex.quote(old)} ] || mv -f -- {shlex.quote(old)} {shlex.quote(new)} || exit 1" for old, new in pairs
    ]
    host.checked("\n".join([f"cd {SCRIPTS_FOLDER} || exit 1", *moves]))
