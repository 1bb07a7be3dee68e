"""What the agent reads: its task, and before it the notes from the repository's own objects and the tenant's prefix."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import structlog

from outpost.domain.context import MAX_FILE_BYTES, REPOSITORY_FOLDER, ContextRecord, Note, Origin, compose
from outpost.domain.protocol import Assignment
from worker.attempt_redactor import AttemptRedactor
from worker.git import git
from worker.lines import printable
from worker.store import AttemptStore, DownloadError
from worker.workspace import Workspace

_SECONDS = 30.0
_MOST_NOTES = 50
BYTE_ORDER_MARK = "\ufeff"
TASK_HEADING = "# Task"

_log = structlog.get_logger()


@dataclass(frozen=True)
class PromptContext:
    """What the agent reads beside its task."""

    record: ContextRecord
    text: str
    """Empty where there are no notes."""
    file: Path
    """The record as a file."""


def compose_prompt_context(
    workspace: Workspace, store: AttemptStore, assignment: Assignment, redactor: AttemptRedactor
) -> PromptContext:
    """Write the context's file and its record."""
    found = (*_of_repository(workspace), *_of_tenant(store, assignment))
    notes = [replace(note, name=redactor.text(note.name)) for note in found]
    text, record = compose(notes, assignment.spec.context)
    # After the trimming, which could bring back what had been taken out before it.
    text = redactor.text(text)
    context = PromptContext(record, text, workspace.private / "context.json")
    context.file.write_text(record.model_dump_json(indent=2))
    workspace.context_file.write_text(text, encoding="utf-8")
    workspace.context_file.chmod(0o644)
    return context


def _of_repository(workspace: Workspace) -> Iterator[Note]:
    """Read the notes from the commit: no file of the working tree is opened, and a link is not followed."""
    if workspace.commit_before is None:
        return
    listing = workspace.git("ls-tree", "-z", workspace.commit_before, "--", REPOSITORY_FOLDER, timeout=_SECONDS)
    found = 0
    for entry in listing.stdout.split(b"\0"):
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
        except DownloadError as error:  # deleted since the claim: the run continues without it
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


def _text(content: bytes) -> str:
    return "\n".join(printable(line) for line in content.split(b"\n"))


@dataclass(frozen=True)
class TaskText:
    """A task as its program reads it."""

    text: str
    notes: tuple[str, ...] = ()
    """What was changed, for the log."""


def prompt_of(task: str, context: str = "") -> TaskText:
    """Return the prompt of an agent with a model: the context, if any, then the task below a heading.

    The heading is there without context as well. CLIs read a prompt's first characters as their own syntax, without
    an interactive user too: `/` and `!` begin commands (Claude Code, Gemini CLI, Aider). A heading begins with none.
    """
    plain = _without_mark(task)
    before = f"{context}\n" if context else ""
    return TaskText(f"{before}{TASK_HEADING}\n\n{plain.text}", plain.notes)


def script_of(task: str) -> TaskText:
    """Return the script of an agent without a model, as bash has to find it.

    CRLF becomes LF when every line ends with it, as an editor of Windows writes them: bash would take CR for a part
    of each line's last argument. Where only some lines end so, a here-document may mean it, and nothing is changed.
    """
    plain = _without_mark(task)
    task, notes = plain.text, plain.notes
    lines, windows_lines = task.count("\n"), task.count("\r\n")
    if windows_lines == 0:
        return plain
    if windows_lines < lines:
        kept = f"{windows_lines} of the script's {lines} lines end with CRLF: they are kept, and bash reads CR as text"
        return TaskText(task, (*notes, kept))
    return TaskText(task.replace("\r\n", "\n"), (*notes, "the script's lines end with CRLF: converted to LF"))


def _without_mark(task: str) -> TaskText:
    """Return the task without the byte order marks that it begins with."""
    text = task.lstrip(BYTE_ORDER_MARK)
    return TaskText(text, ("the task's byte order mark was left out",) if text != task else ())
