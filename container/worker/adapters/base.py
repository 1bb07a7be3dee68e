"""What the harness asks of an agent's adapter: how to start its CLI, and what the lines that it prints mean."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outpost.domain.agents import Alias
from outpost.domain.usage import Tokens

MAX_EVENT = 4 * 1024 * 1024
"""Characters of an unfinished JSON line that are kept before they are taken for text."""


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

    The tokens are in the environment already, under the catalogue's names.
    """
    models: Mapping[Alias, str] = field(default_factory=dict)
    """The agent's models in this environment: alias -> model id."""

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
    home_files: Mapping[str, str] = field(default_factory=dict)
    """Path below the agent's home -> content, for settings that a CLI takes from nowhere else."""


@dataclass(frozen=True)
class Said:
    """Something for the log, of one or more lines."""

    text: str
    progress: bool = False
    """Whether it says what the agent is doing: it becomes the dispatch's progress."""


class Transcript:
    """Reads a CLI's output line by line, for people to follow. This one takes every line as it is.

    What it learns on the way is the agent's word: tokens are billed by the model proxy's count, not by this one.
    """

    def __init__(self) -> None:
        self.final_message: str | None = None
        self.tokens: Tokens | None = None
        self.failure: str | None = None
        """What went wrong, told by a CLI whose exit code does not tell it."""

    def read(self, line: str) -> Iterator[Said]:
        """Yield what a line says."""
        yield Said(line)

    def finish(self) -> Iterator[Said]:
        """Yield what was held back until the end of the output."""
        yield from ()


class JsonTranscript(Transcript, ABC):
    """Output of one JSON object a line; anything else is taken as it is.

    The harness cuts long lines into pieces; they are put together again here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[str] = []

    @abstractmethod
    def event(self, event: Mapping[str, Any]) -> Iterator[Said]:
        """Yield what an event says to people, if anything."""

    def read(self, line: str) -> Iterator[Said]:
        """Yield what a line, or a piece of one, says."""
        if (event := _object(line)) is not None:
            yield from self.finish()
            yield from self._told(event, line)
        elif self._pieces:
            yield from self._continue(line)
        elif line.startswith('{"'):
            self._pieces = [line]
        else:
            yield Said(line)

    def finish(self) -> Iterator[Said]:
        """Yield the pieces of a line that never came to its end, as they are."""
        pieces, self._pieces = self._pieces, []
        yield from map(Said, pieces)

    def _continue(self, piece: str) -> Iterator[Said]:
        self._pieces.append(piece)
        whole = "".join(self._pieces)
        # Trying each time would take quadratic time; a line ends with its closing brace.
        event = _object(whole) if piece.endswith("}") else None
        if event is not None:
            self._pieces = []
            yield from self._told(event, whole)
        elif len(whole) > MAX_EVENT:
            yield from self.finish()

    def _told(self, event: Mapping[str, Any], line: str) -> Iterator[Said]:
        try:
            yield from self.event(event)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            yield Said(line)  # not the form that this version of the CLI is known to print


def _object(line: str) -> Mapping[str, Any] | None:
    if not (line.startswith("{") and line.endswith("}")):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def tool_line(name: str, arguments: object) -> Said:
    """Return a tool call in one line, its arguments shortened."""
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Said(f"[{name}] {told if len(told) <= 300 else told[:299] + '…'}", progress=True)


class Adapter(ABC):
    """One agent CLI."""

    exit_codes: Mapping[int, str] = {}
    """What the CLI means by its exit codes, where it documents more than success and failure."""
    litter: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files that the CLI leaves in the workspace for itself."""

    @abstractmethod
    def invocation(self, run: Run) -> Invocation:
        """Return how to run the task; never a shell string, and the task never on the command line."""

    def transcript(self) -> Transcript:
        """Return a reader for one run's output."""
        return Transcript()
