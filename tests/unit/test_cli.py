"""What the command line understands and how it prints, without a service."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from outpost.cli import dispatches, output
from outpost.cli.main import app
from outpost.cli.watch import EXIT_CODES
from outpost.client.models import Dispatch, LogLine, Reason
from outpost.domain.dispatch import Status

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def shown(renderable: object) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


@pytest.mark.parametrize("arguments", [["dispatch", "shell"], ["dispatch", "shell", "echo hello", "--file", "-"]])
def test_a_task_is_given_exactly_once(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert "--file" in ended.stderr


def test_a_command_that_is_nearly_right_is_suggested() -> None:
    ended = CliRunner().invoke(app, ["dispach"])
    assert (ended.exit_code, "'dispatch'" in ended.stderr) == (2, True)


def test_a_tag_without_a_value_is_refused_with_an_example() -> None:
    ended = CliRunner().invoke(app, ["dispatch", "shell", "echo hello", "--tag", "team"])
    assert ended.exit_code == 2
    assert "--tag team:payments" in ended.stderr


@pytest.mark.parametrize("amount", ["nan", "inf", "-inf", "ten", ""])
@pytest.mark.parametrize(
    "command",
    [["dispatch", "shell", "echo hello", "--max-cost-usd"], ["tenants", "set", "acme", "--monthly-budget-usd"]],
    ids=["dispatch", "tenants"],
)
def test_an_amount_that_is_no_number_is_refused_with_an_example(command: list[str], amount: str) -> None:
    ended = CliRunner().invoke(app, [*command, amount])
    assert (ended.exit_code, f"{command[-1]}" in ended.stderr) == (2, True)
    assert f"{amount!r} is no amount of US dollars" in ended.stderr


def test_a_task_file_that_is_missing_is_named(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["dispatch", "shell", "--file", str(tmp_path / "none.sh")])
    assert ended.exit_code == 2
    assert "none.sh" in ended.stderr.replace("\n", "")


def test_a_key_is_never_an_argument() -> None:
    for command in ([], ["dispatch"], ["keys", "create"]):
        assert "--key " not in CliRunner().invoke(app, [*command, "--help"]).stdout


def test_every_terminal_state_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == {status for status in Status if status.terminal}
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert EXIT_CODES[Status.SUCCESS] == 0


def test_every_status_has_a_colour() -> None:
    assert set(output.STYLES) == set(Status)


def test_an_agents_escape_sequences_do_not_reach_the_terminal() -> None:
    line = LogLine(timestamp=NOW, source="agent", message="\x1b]0;title\x07\x1b[2Jgone\r\u202etxet\x9b31m")
    assert not set("\x1b\x07\r\u202e\x9b") & set(shown(output.log_text(line)))


def test_what_looks_like_markup_is_printed_as_it_is() -> None:
    line = LogLine(timestamp=NOW, source="agent", message="[bold]list[0][/bold] :smile:")
    assert "[bold]list[0][/bold] :smile:" in shown(output.log_text(line))


def test_a_failed_dispatch_is_shown_with_its_reason_and_remedy() -> None:
    failed = Dispatch(
        id="01J000000000000000000000AA",
        status=Status.FAILED,
        agent="shell",
        created_at=NOW,
        exit_code=3,
        reason=Reason(code="AGENT_EXIT_NONZERO", message="The agent ended with 3.", remedy="Read the last lines."),
    )
    text = shown(output.dispatch_table(failed))
    assert "AGENT_EXIT_NONZERO: The agent ended with 3." in text
    assert "Read the last lines." in text


def test_colons_after_the_first_belong_to_a_tags_value() -> None:
    assert dispatches.parse_tags(["url:http://x", "empty:"]) == {"url": "http://x", "empty": ""}
    assert dispatches.parse_tags(None) is None
