"""What the harness asks of an agent's adapter: how to start its CLI, and what the lines that it prints mean."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outpost.domain.agents import Alias
from outpost.domain.models import find_model
from outpost.domain.reasons import ReasonCode
from worker.adapters.transcript import Transcript

Failure = tuple[ReasonCode, str]
"""A code and its message."""
_CONTEXT_WINDOW = 200_000
"""Tokens, of a model that `models.toml` does not have: what CLIs assume themselves."""


def context_window(model: str) -> int:
    """Return the context window of a model in tokens, for CLIs whose own list of models is not fetched."""
    known = find_model(model)
    return known.context_window if known else _CONTEXT_WINDOW


class StartError(Exception):
    """The agent's program cannot be started; the text says why, and what to do."""


@dataclass(frozen=True)
class Run:
    """What an adapter knows of the run that it starts."""

    task_file: Path
    """The prompt; the agent can read it."""
    home: Path
    """The agent's own home folder, empty."""
    model: str | None = None
    """Model id; None for an agent without a model."""
    base_url: str | None = None
    """Where the provider's API is for this agent, without a final slash; None: at the provider's own address.

    The token for it is in `tokens`, and in the agent's environment under the catalogue's names.
    """
    models: Mapping[Alias, str] = field(default_factory=dict)
    """The agent's models in this environment: alias -> model id."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """The variables that every agent is given."""
    workspace: Path = Path()
    """The folder with the repository, in which the program runs."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """The catalogue's names of the provider's token -> the proxy's token, or a key of the tenant's own."""
    bedrock: str | None = None
    """The region of Bedrock, where the API at the base URL is its form of the provider's."""
    settings_files: Sequence[str] = ()
    """Those of the adapter's `settings_files` that the repository has."""

    def model_for(self, alias: Alias) -> str | None:
        """Return the model for calls that a CLI makes with a model of its own choice: one that it may call."""
        return self.models.get(alias, self.model)


@dataclass(frozen=True)
class Invocation:
    """A program and what it needs beyond the environment that every agent gets."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: Path | None = None
    """What the program reads from its standard input; None: nothing."""
    program: str | None = None
    """The agent's program, where another one that `argv` names starts it."""
    home_files: Mapping[str, str] = field(default_factory=dict)
    """Path below the agent's home -> content, for settings that a CLI takes from nowhere else."""


class Adapter(ABC):
    """One agent CLI."""

    exit_codes: Mapping[int, str] = {}
    """What the CLI means by its exit codes, where it documents more than success and failure."""
    stops_at_tool: Failure = (ReasonCode.NO_RESULT, "")
    """What it means that the CLI reports success although its model waits for a tool's result."""
    tools: tuple[str, ...] = ()
    """Names of tools without which the agent cannot change a file; a repository's settings can take them away."""
    litter: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files that the CLI leaves in the workspace for itself."""
    settings_files: tuple[str, ...] = ()
    """Paths of the files from which the CLI takes a repository's settings, as far as they can keep a run from working.

    The platform's own settings are at the CLI's highest scope (docs/adr/0032): what these forbid nevertheless is named.
    """

    transcript: type[Transcript] = Transcript
    """What reads one run's output."""

    @abstractmethod
    def invocation(self, run: Run) -> Invocation:
        """Return the call: no shell string, no task in it. Raises `StartError`: the settings would have no effect."""
