"""What an agent gets beside its task: notes of the repository, then of the tenant, within a budget. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from outpost.domain.dispatch import ContextLevel
from outpost.domain.value import Value

BUDGETS: dict[ContextLevel, int] = {"minimal": 600, "standard": 1_200, "full": 1_800}
"""Tokens."""
BYTES_PER_TOKEN = 3
"""An estimate on the safe side: English has about four, other scripts about three."""
REPOSITORY_FOLDER = ".outpost/context/"
MAX_FILE_BYTES = 64 * 1024
"""Of a longer file only the beginning is read: many times the largest budget."""

_TITLE = "# Context\n"
_CUT = "[cut here: the context's budget is used up]\n"


class Origin(StrEnum):
    """Where a note comes from; earlier ones have priority."""

    REPOSITORY = "repository"
    TENANT = "tenant"


@dataclass(frozen=True)
class Note:
    """A file of context."""

    origin: Origin
    name: str
    text: str


class Provenance(Value):
    """What became of one note."""

    origin: Origin
    name: str
    sha256: str
    tokens: int
    used_tokens: int


class ContextRecord(Value):
    """`context.json`: what the agent got, and where it came from."""

    level: ContextLevel
    budget_tokens: int
    used_tokens: int
    notes: tuple[Provenance, ...]


def context_prefix(tenant_id: str) -> str:
    """Return the key prefix of a tenant's notes. Not below `tenants/`, whose objects expire."""
    return f"context/{tenant_id}/"


def tokens_of(text: str) -> int:
    """Estimate a text's tokens, rather too many than too few."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def compose(notes: Iterable[Note], level: ContextLevel) -> tuple[str, ContextRecord]:
    """Return the text for the agent, never over the budget and cut between lines only, and its record.

    In order of origin and name: the first one is whole before the next begins.
    """
    budget = BUDGETS[level]
    text, provenance = "", []
    for note in sorted(notes, key=lambda note: (list(Origin).index(note.origin), note.name)):
        before = text or _TITLE
        block = _fitting(note, (budget * BYTES_PER_TOKEN) - len(before.encode()))
        text = before + block if block else text
        provenance.append(
            Provenance(
                origin=note.origin,
                name=note.name,
                sha256=hashlib.sha256(note.text.encode()).hexdigest(),
                tokens=tokens_of(note.text),
                used_tokens=tokens_of(block),
            )
        )
        if block.endswith(_CUT) or not block:
            budget = 0  # what has less priority does not slip past it
    record = ContextRecord(
        level=level, budget_tokens=BUDGETS[level], used_tokens=tokens_of(text), notes=tuple(provenance)
    )
    return text, record


def _fitting(note: Note, room: int) -> str:
    """Return the note under a heading, or as many of its lines as have room, or nothing."""
    head = f"\n## {note.name} ({note.origin})\n\n"
    whole = head + note.text.rstrip("\n") + "\n"
    if len(whole.encode()) <= room:
        return whole
    room -= len((head + _CUT).encode())
    kept = ""
    for line in note.text.splitlines(keepends=True):
        if len((kept + line).encode()) > room:
            break
        kept += line
    return head + kept + _CUT if kept else ""
