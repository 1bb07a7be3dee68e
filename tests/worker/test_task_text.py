"""A task is the task, whatever its first characters and its line ends are."""

import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from tests.worker.conftest import Platform
from worker.prompt_context import prompt_of, script_of

BEGINNINGS = [
    *(
        "/help me",
        "/src/app.py is broken",
        "!ls",
        "@octocat asked",
        "#include is missing",
        '"""\ntext\n"""',
        "'a'",
        "`a`",
    ),
    *("-x --help", "--version", " /help", "\n\n/help", "\t!ls", "{\na\n}", "$(touch x)", "ends with \\", "a\r\nb\r\n"),
]


@pytest.mark.parametrize("task", BEGINNINGS)
@pytest.mark.parametrize("context", ["", "# Context\n\n## a.md (repository)\n\nBe kind.\n"])
def test_a_prompt_holds_the_task_unchanged_below_a_heading_that_no_cli_reads_as_a_command(
    task: str, context: str
) -> None:
    prompt = prompt_of(task, context)
    assert prompt.text.endswith(f"# Task\n\n{task}")
    assert prompt.text.startswith(context or "# Task")
    assert prompt.notes == ()


@pytest.mark.parametrize("task", BEGINNINGS)
def test_a_byte_order_mark_is_left_out_of_a_prompt_and_noted(task: str) -> None:
    assert prompt_of(f"\ufeff{task}").text == f"# Task\n\n{task}"
    assert prompt_of(f"\ufeff{task}").notes == ("the task's byte order mark was left out",)


@pytest.mark.parametrize(
    ("task", "script", "note"),
    [
        ("#!/bin/bash\r\necho a\r\n", "#!/bin/bash\necho a\n", "converted to LF"),
        ("echo a\r\necho b", "echo a\necho b", "converted to LF"),
        ("\ufeff#!/bin/bash\necho a\n", "#!/bin/bash\necho a\n", "byte order mark"),
        ("cat > a <<'E'\nx\r\nE\n", "cat > a <<'E'\nx\r\nE\n", "1 of the script's 3 lines"),
        ("printf 'a\\r\\n'\n", "printf 'a\\r\\n'\n", None),
        ("echo a\rb\n", "echo a\rb\n", None),
        ("echo \ufeff a\n", "echo \ufeff a\n", None),
    ],
)
def test_a_script_runs_as_it_was_meant_whichever_editor_wrote_it(task: str, script: str, note: str | None) -> None:
    found = script_of(task)
    assert found.text == script
    assert len(found.notes) == (note is not None)
    assert (note or "") in "".join(found.notes)


def test_a_script_of_a_windows_editor_with_both_runs_and_the_log_says_what_was_changed(platform: Platform) -> None:
    task = "\ufeffset -e\r\nif true; then\r\n  cat > out.txt <<'EOF'\r\nfirst\r\nEOF\r\nfi\r\n"
    row = platform.run(task)
    assert row.status is Status.SUCCESS, platform.messages(row)
    assert "+++ b/out.txt\n@@ -0,0 +1 @@\n+first\n" in platform.read(row, Artifact.PATCH).decode()
    assert "the task's byte order mark was left out" in platform.messages(row)
    assert "the script's lines end with CRLF: converted to LF" in platform.messages(row)
