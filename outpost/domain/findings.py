"""Secrets found in what an attempt made: where they stand, what is withheld for them, and its release."""

from datetime import datetime

from pydantic import Field

from outpost.domain.value import Value

MOST_PLACES = 100
"""Places kept in `findings.json` and in the summary; the counts are of all."""
BRIEF_PLACES = 10
"""Places kept in a row: a list reads a thousand rows."""
SHOWN_PLACES = 3
"""Places named in one sentence."""
UNSEARCHED = "unsearched-content"
"""Kind of a finding that stands for content that could not be searched: it is withheld as if a secret were in it."""
MAX_PATH_LENGTH = 256
"""Characters kept of a path."""


class Finding(Value):
    """A place where a secret was found. The secret itself is never part of it."""

    artifact: str
    """File name of the artifact, such as `changes.patch`."""
    path: str
    """The file that the artifact adds or changes."""
    line: int | None = None
    """Line in the new file, from 1; None for the file's name and for content that is not text."""
    kind: str
    """Name of the known secret, or of the format."""
    known: bool
    """Whether the value of a known secret was found, not merely a text in the format of one."""

    def __str__(self) -> str:
        """Return kind and place, such as `secret NPM_TOKEN at config.py:3`."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{'secret ' if self.known else ''}{self.kind} at {place}"


class Findings(Value):
    """All that was found in the results of one attempt."""

    secrets: dict[str, int] = Field(default_factory=dict)
    """Names of the known secrets whose values were found -> number of places."""
    formats: dict[str, int] = Field(default_factory=dict)
    """Formats of secrets that were found -> number of places. Warnings: nothing is withheld for them."""
    places: tuple[Finding, ...] = ()
    """The first places, those of known secrets before the others."""
    withheld: tuple[str, ...] = ()
    """The artifacts with the value of a known secret."""

    def __bool__(self) -> bool:
        """Return whether anything was found."""
        return bool(self.secrets or self.formats)

    def brief(self) -> "Findings | None":
        """Return the same with as many places as a row keeps; None when nothing was found."""
        return self.model_copy(update={"places": self.places[:BRIEF_PLACES]}) if self else None

    def describe(self, *, known: bool, most: int = SHOWN_PLACES) -> str:
        """Return up to `most` places of known secrets, or of formats, and how many more there are, as one text."""
        shown = [str(place) for place in self.places if place.known is known][:most]
        more = sum((self.secrets if known else self.formats).values()) - len(shown)
        return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])


class Release(Value):
    """Who released what was withheld, knowing what is in it."""

    by: str
    """Display prefix of the API key."""
    at: datetime
    reason: str
