"""What the harness asks of an agent's adapter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from outpost.domain.dispatch import Spec


@dataclass(frozen=True)
class Invocation:
    """A program and what it needs beyond the environment that every agent gets."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Adapter(Protocol):
    """One agent CLI."""

    def invocation(self, task_file: Path, spec: Spec) -> Invocation:
        """Return how to run the task in `task_file`; never a shell string, and the task never on the command line."""
