"""What is written into the file that the agent reads its task from: pure decisions."""

from dataclasses import dataclass

BYTE_ORDER_MARK = "\ufeff"
TASK_HEADING = "# Task"


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
    task, notes = _without_mark(task)
    before = f"{context}\n" if context else ""
    return TaskText(f"{before}{TASK_HEADING}\n\n{task}", notes)


def script_of(task: str) -> TaskText:
    """Return the script of an agent without a model, as bash has to find it.

    CRLF becomes LF when every line ends with it, as an editor of Windows writes them: bash would take CR for a part
    of each line's last word. Where only some lines end so, a here-document may mean it, and nothing is changed.
    """
    task, notes = _without_mark(task)
    lines, windows_lines = task.count("\n"), task.count("\r\n")
    if windows_lines == 0:
        return TaskText(task, notes)
    if windows_lines < lines:
        kept = f"{windows_lines} of the script's {lines} lines end with CRLF: they are kept, and bash reads CR as text"
        return TaskText(task, (*notes, kept))
    return TaskText(task.replace("\r\n", "\n"), (*notes, "the script's lines end with CRLF: converted to LF"))


def _without_mark(task: str) -> tuple[str, tuple[str, ...]]:
    """Return the task without the byte order marks that it begins with, and the note about them."""
    text = task.lstrip(BYTE_ORDER_MARK)
    return text, ("the task's byte order mark was left out",) if text != task else ()
