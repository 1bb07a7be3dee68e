"""Where an attempt's results lie in the artifacts bucket, and the form of its log lines."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from outpost.domain.collection import Collection
from outpost.domain.dispatch import LOG_TAIL_BYTES, Promotion, Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.reasons import Reason
from outpost.domain.value import Value


class Artifact(StrEnum):
    """The objects under an attempt's prefix, beside its log chunks."""

    OUTPUT = "output.log"
    PATCH = "changes.patch"
    SUMMARY = "summary.json"
    WORKSPACE = "workspace.tar.zst"
    CONTEXT = "context.json"
    COMMITS = "commits.bundle"
    """The agent's commits and stashes, for `git fetch`; there when it made any."""
    NESTED = "nested.patch"
    """Edits inside submodules and further worktrees; there when there are any."""
    COLLECTED = "collected.tar.gz"
    """The files that the dispatch asked for by patterns."""
    FINDINGS = "findings.json"
    """Where secrets were found in the other artifacts; there when any was."""
    COLLECTION = "collection.json"
    """What was kept and left out; there when anything was. A stopped worker writes it, but no summary."""

    @property
    def type(self) -> str:
        """The artifact's type in the API."""
        return _TYPES.get(self, "metadata")


_TYPES = {
    Artifact.OUTPUT: "output",
    Artifact.PATCH: "patch",
    Artifact.WORKSPACE: "workspace",
    Artifact.COMMITS: "commits",
    Artifact.NESTED: "patch",
    Artifact.COLLECTED: "files",
}


def attempt_prefix(tenant_id: str, dispatch_id: str, attempt: int) -> str:
    """Return the key prefix of one attempt, with its final slash."""
    return f"tenants/{tenant_id}/dispatches/{dispatch_id}/{attempt}/"


def stored_name(artifact: Artifact, *, withheld: bool) -> str:
    """Return the name of an artifact's object under the attempt's prefix.

    A withheld artifact has a name of its own: whatever reads by the artifact's name does not find it, also where the
    attempt ended without a report.
    """
    return f"withheld-{artifact}" if withheld else str(artifact)


def promoted_patch(tenant_id: str, promotion: Promotion) -> str:
    """Return the key of the patch that a promotion publishes."""
    prefix = attempt_prefix(tenant_id, promotion.dispatch_id, promotion.attempt)
    return prefix + stored_name(Artifact.PATCH, withheld=promotion.withheld)


def chunk_key(prefix: str, number: int) -> str:
    """Return the key of log chunk `number`, counted from 1; keys sort as numbers do."""
    return f"{prefix}chunks/{number:06d}.jsonl"


class LogSource(StrEnum):
    """Who printed a log line."""

    AGENT = "agent"
    EXECUTOR = "executor"
    SYSTEM = "system"


class LogLine(Value):
    """One line of a dispatch's log; a chunk is these as JSON, one a line."""

    timestamp: datetime
    level: str = "info"
    source: LogSource
    message: str


def tail_of(lines: Sequence[str]) -> str:
    """Return the last lines that fit into `LOG_TAIL_BYTES`; of a last line that is longer, its end."""
    kept: deque[str] = deque()
    room = LOG_TAIL_BYTES
    for line in reversed(lines):
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.appendleft(line)
    if not kept and lines:
        return lines[-1].encode()[-LOG_TAIL_BYTES:].decode(errors="ignore")
    return "\n".join(kept)


class Summary(Value):
    """`summary.json`: what came of an attempt. Written last, so that its presence means that all else is there.

    It is written once, by the worker or by what closes the dispatch without it: which of the two came first decides.
    """

    dispatch_id: str
    tenant_id: str
    attempt: int
    worker_id: str
    agent: str
    model_id: str | None
    repo: str | None
    commit_before: str | None = None
    commit_after: str | None = None
    outcome: Status
    reason: Reason
    exit_code: int | None
    started_at: datetime | None
    ended_at: datetime
    usage: Usage
    final_message: str | None = None
    """The agent's last message, without secrets."""
    pull_request: str | None = None
    """Of a promotion: the URL of the pull request."""
    log_tail: str | None = None
    """The last log lines of a run that did not succeed."""
    files_changed: int = 0
    patch_bytes: int = 0
    collection: Collection = Collection()
    """What was kept beside the patch, and what was left out and why."""
    findings: Findings | None = None
    """The secrets found in the results."""
    lost: bool = False
    """Whether the worker was lost, and this was written in its place."""
