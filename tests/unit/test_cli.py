"""What the command line understands and how it prints, without a service."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel
from rich.console import Console
from typer import Context
from typer.main import get_command
from typer.testing import CliRunner

from outpost_client.cli import options, output
from outpost_client.cli.main import COMMANDS, Commands, app, summary
from outpost_client.cli.options import with_cli_names
from outpost_client.cli.usage import _figures
from outpost_client.cli.watch import EXIT_CODES
from outpost_client.errors import ApiError, Detail
from outpost_client.models import (
    Dispatch,
    DispatchRequest,
    Limits,
    LogLine,
    PromotionRequest,
    ReleaseRequest,
    Tenant,
    UsageFigures,
)
from outpost_client.results import Reason, Status

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


def test_the_list_of_commands_shows_the_first_line_of_each_commands_help() -> None:
    """It is read from the source, without an import."""
    commands = cast("Commands", get_command(app))
    assert set(commands.entries) >= {*COMMANDS, "doctor"}
    for name, entry in commands.entries.items():
        assert summary(entry) == commands.get_command(None, name).help.partition("\n")[0]


def test_a_tag_without_a_value_is_refused_with_an_example() -> None:
    ended = CliRunner().invoke(app, ["dispatch", "shell", "echo hello", "--tag", "team"])
    assert ended.exit_code == 2
    assert "--tag team:payments" in ended.stderr


def test_a_tag_has_one_value() -> None:
    ended = CliRunner().invoke(app, ["dispatch", "shell", "echo hello", "--tag", "a:1", "--tag", "b:1", "--tag", "a:2"])
    assert (ended.exit_code, "'a' 2 values" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"), [(["--csv", "--json"], "two formats"), (["--tag", "a", "--tag", "b"], "given 2 times")]
)
def test_usage_refuses_options_of_which_one_would_have_no_effect(options: list[str], message: str) -> None:
    ended = CliRunner().invoke(app, ["usage", *options])
    assert (ended.exit_code, message in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("request_model", "command"),
    [
        (DispatchRequest, ["dispatch"]),
        (PromotionRequest, ["promote"]),
        (ReleaseRequest, ["release"]),
        (Limits, ["tenants", "set"]),
        (Tenant, ["tenants", "set"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else value.__name__,
)
def test_every_field_that_the_service_may_refuse_is_named_as_the_commands_option(
    request_model: type[BaseModel], command: list[str]
) -> None:
    group = get_command(app)
    for name in command:
        group = group.get_command(None, name)  # type: ignore[attr-defined]
    shown_only = {"id", "status", "limits", "ownLimits", "createdAt"} if request_model is Tenant else set()
    for field in {info.alias or name for name, info in request_model.model_fields.items()} - shown_only:
        error = with_cli_names(ApiError("VALIDATION_ERROR", "", [Detail(field, "is no good")]), Context(group))
        named = error.details[0].field
        assert any(named in (*each.opts, each.name.upper()) for each in group.params), field
        assert error.message == f"{named}: is no good"


@pytest.mark.parametrize(
    ("field", "named"),
    [("groupBy.0", "--by"), ("since", "--since"), ("tenant", "--tenant"), ("colour", "colour")],
)
def test_an_entry_of_a_list_is_named_by_its_option(field: str, named: str) -> None:
    command = get_command(app).get_command(None, "usage")  # type: ignore[attr-defined]
    error = ApiError("VALIDATION_ERROR", "2 fields", [Detail(field, "see groupBy"), Detail("tag", "")])
    assert with_cli_names(error, Context(command)).details[0] == Detail(named, "see --by")


@pytest.mark.parametrize(
    ("status", "cost", "most", "expected"),
    [
        (Status.SUCCESS, None, None, "unknown: a model has no price"),
        (Status.SUCCESS, None, 2.0, "unknown of at most 2.00 USD"),
        (Status.SUCCESS, 0.0, None, None),
        (Status.SUCCESS, 0.25, None, "0.2500 USD"),
        (Status.RUNNING, None, None, None),
        (Status.RUNNING, None, 2.0, "? of at most 2.00 USD"),
    ],
)
def test_a_cost_that_nobody_knows_is_no_zero(
    status: Status, cost: float | None, most: float | None, expected: str | None
) -> None:
    found = Dispatch(id="01J", status=status, agent="claude", created_at=NOW, cost_usd=cost, max_cost_usd=most)
    assert output.cost_text(found) == expected


@pytest.mark.parametrize(
    ("cost", "unpriced", "expected"), [(0.0, 1, "unknown"), (1.5, 2, "1.5000 + unknown"), (0.0, 0, "0.0000")]
)
def test_the_sum_of_costs_names_what_is_not_known(cost: float, unpriced: int, expected: str) -> None:
    names = ("dispatches", "input_tokens", "cached_input_tokens", "output_tokens", "model_calls")
    seconds = ("duration_seconds", "vcpu_seconds", "gb_seconds")
    figures = UsageFigures(
        cost_usd=cost, unpriced_dispatches=unpriced, **dict.fromkeys(names, 3), **dict.fromkeys(seconds, 0.0)
    )
    assert _figures(figures)[5] == expected


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
    assert options.parse_tags(["url:http://x", "empty:"]) == {"url": "http://x", "empty": ""}
    assert options.parse_tags(None) is None
