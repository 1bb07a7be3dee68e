"""The state of a dispatch and what is known of its results, as the API returns them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A value of the API: camelCase there, snake_case here. Fields that a newer service adds are ignored."""

    # Built when first used: most commands use few of the models.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, defer_build=True)


class Status(StrEnum):
    """The states of a dispatch; the last four are terminal."""

    PENDING = "pending"
    PROVISIONING = "provisioning"
    RUNNING = "running"
    COMPLETING = "completing"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether no other state can follow."""
        return self in (Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.CANCELLED)


class Reason(Model):
    """Why a dispatch ended, and what to do about it."""

    code: str
    message: str
    remedy: str = ""


class AttemptUsage(Model):
    """What the attempt consumed."""

    duration_seconds: float = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    model_cost_usd: float | None = None
    vcpu_seconds: float = 0
    gb_seconds: float = 0
    capacity: str | None = None


class Release(Model):
    """Who released what was withheld."""

    by: str
    at: datetime
    reason: str


class Finding(Model):
    """A place where a secret was found, without the secret."""

    artifact: str
    path: str
    line: int | None = None
    kind: str
    """Name of the known secret, or of the format."""
    known: bool
    """Whether the value of a known secret was found, not merely a text in the format of one."""

    def __str__(self) -> str:
        """Return kind and place, such as `secret NPM_TOKEN at config.py:3`."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{'secret ' if self.known else ''}{self.kind} at {place}"


class Findings(Model):
    """The secrets found in the results of one attempt."""

    secrets: dict[str, int] = Field(default_factory=dict)
    """Name of each known secret that was found -> number of places."""
    formats: dict[str, int] = Field(default_factory=dict)
    """Format of each text that looks like a secret -> number of places."""
    places: tuple[Finding, ...] = ()
    """The first places only."""
    withheld: tuple[str, ...] = ()
    """Names of the artifacts that wait for a release."""


class LeftOut(Model):
    """Files of one place that are not in the patch."""

    path: str
    reason: str


class KeptRef(Model):
    """A branch, tag or stash that `commits.bundle` has."""

    name: str
    commit: str
    subject: str


class NestedChange(Model):
    """Edits in a submodule or in another worktree, which `nested.patch` has."""

    path: str
    kind: str
    files_changed: int


class Collection(Model):
    """What was kept beside the patch, and what was left out; the counts are of all, the lists of the first ones."""

    left_out: tuple[LeftOut, ...] = ()
    left_out_count: int = 0
    refs: tuple[KeptRef, ...] = ()
    refs_count: int = 0
    nested: tuple[NestedChange, ...] = ()
    nested_count: int = 0

    def lines(self, most: int = 10) -> list[str]:
        """Return it as text, with up to `most` entries of a kind."""
        reasons = dict.fromkeys(item.reason for item in self.left_out)
        lines = []
        for reason in reasons:
            paths = [item.path for item in self.left_out if item.reason == reason]
            more = f" and {len(paths) - most} more" if len(paths) > most else ""
            lines.append(f"left out: {', '.join(paths[:most])}{more} ({reason})")
        refs = [f"{ref.name} at {ref.commit} ({ref.subject})" for ref in self.refs[:most]]
        nested = [f"{each.files_changed} files changed in the {each.kind} {each.path}" for each in self.nested[:most]]
        lines += _with_rest("left out", [], self.left_out_count - len(self.left_out), "")
        lines += _with_rest("kept in commits.bundle", refs, self.refs_count - most, " refs")
        return lines + _with_rest("kept in nested.patch", nested, self.nested_count - most, " repositories")


def _with_rest(title: str, entries: Sequence[str], more: int, what: str) -> list[str]:
    rest = [f"{more} more{what}"] if more > 0 else []
    return [f"{title}: {entry}" for entry in [*entries, *rest]]
