"""Brings the notes for the agent together: from the repository's own objects, and from the tenant's prefix."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import structlog

from outpost.domain.context import MAX_FILE_BYTES, REPOSITORY_FOLDER, ContextRecord, Note, Origin, compose
from outpost.domain.protocol import Assignment
from outpost.redaction.redactor import Redactor
from worker.git import git
from worker.lines import printable
from worker.store import AttemptStore, DownloadError
from worker.workspace import Workspace

_SECONDS = 30.0
_MOST_NOTES = 50

_log = structlog.get_logger()


@dataclass(frozen=True)
class Context:
    """What the agent is told beside its task."""

    record: ContextRecord
    text: str
    """Empty where there are no notes."""
    file: Path
    """The record as a file."""


def lay_out_context(workspace: Workspace, store: AttemptStore, assignment: Assignment, redactor: Redactor) -> Context:
    """Write the context's file and its record."""
    notes = [*_of_repository(workspace), *_of_tenant(store, assignment)]
    text, record = compose(notes, assignment.spec.context)
    # After the trimming, which could bring back what had been taken out before it.
    text = redactor.text(text)
    context = Context(record, text, workspace.private / "context.json")
    context.file.write_text(record.model_dump_json(indent=2))
    workspace.context_file.write_text(text, encoding="utf-8")
    workspace.context_file.chmod(0o644)
    return context


def _of_repository(workspace: Workspace) -> Iterator[Note]:
    """Read the notes from the commit: no file of the working tree is opened, and a link is not followed."""
    if workspace.commit_before is None:
        return
    listing = _git(workspace, "ls-tree", "-z", workspace.commit_before, "--", REPOSITORY_FOLDER).split(b"\0")
    found = 0
    for entry in listing:
        mode, _, rest = entry.partition(b" ")
        kind_and_id, _, path = rest.partition(b"\t")
        name = printable(path.rpartition(b"/")[2])
        if mode.startswith(b"100") and name.endswith(".md") and found < _MOST_NOTES:
            found += 1
            yield Note(Origin.REPOSITORY, name, _text(_beginning(workspace, kind_and_id.split()[1].decode())))


def _of_tenant(store: AttemptStore, assignment: Assignment) -> Iterator[Note]:
    for key in assignment.context:
        try:
            content = store.read_beginning(key, MAX_FILE_BYTES)
        except DownloadError as error:  # deleted since the claim: the run goes on without it
            _log.warning("a note was left out", error=str(error))
            continue
        yield Note(Origin.TENANT, PurePosixPath(key).name, _text(content))


def _beginning(workspace: Workspace, blob: str) -> bytes:
    with subprocess.Popen(
        git("cat-file", "blob", blob),
        env=workspace.environment(GIT_DIR=workspace.git_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        content = process.stdout.read(MAX_FILE_BYTES)
        process.kill()
    return content


def _git(workspace: Workspace, *arguments: str) -> bytes:
    return subprocess.run(
        git(*arguments),
        env=workspace.environment(GIT_DIR=workspace.git_dir),
        capture_output=True,
        timeout=_SECONDS,
        check=True,
    ).stdout


def _text(content: bytes) -> str:
    return "\n".join(printable(line) for line in content.split(b"\n"))
