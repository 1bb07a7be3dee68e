"""README, CONTRIBUTING and the architecture page name only what exists; `make help` and `--help` name everything."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from outpost_client.cli.main import app
from tests.aws_command import AwsCommand

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/migration-runbook.md",
    "docs/operations.md",
    "docs/recipes.md",
    "docs/upgrading.md",
)
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def code_of(page: str) -> list[str]:
    """Return what is set as code: the commands of console blocks, line by line, and everything between backticks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [*"".join(blocks).splitlines(), *re.findall(r"`([^`\n]+)`", prose)]


def commands() -> Iterator[tuple[str, object]]:
    """Yield every command with its words, groups included."""
    pending: list[tuple[str, Any]] = [("outpost", typer.main.get_command(app))]
    while pending:
        words, command = pending.pop()
        yield words, command
        if isinstance(command, TyperGroup):
            context = typer.Context(command)
            names = command.list_commands(context)
            pending += [(f"{words} {name}", command.get_command(context, name)) for name in names]


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_named_exists(page: str) -> None:
    named = {target for code in code_of(page) for target in re.findall(r"^(?:\$ )?make ([a-z0-9-]+)", code)}
    assert named <= TARGETS


@pytest.mark.parametrize("page", PAGES)
def test_every_command_named_exists(page: str) -> None:
    named = {words for code in code_of(page) for words in re.findall(r"^(?:\$ )?(?:\S+/)?(outpost(?: [a-z-]+)+)", code)}
    known = {words for words, _ in commands()}
    unknown = {words for words in named if not any(re.match(rf"{command}\b", words) for command in known - {"outpost"})}
    assert unknown == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_call_of_aws_named_exists(page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").replace("$ aws", "`aws").split())
    named = re.findall(r"`(aws [^`$]*)", text)
    for command in named:
        if not command.startswith("aws logs tail "):  # a command of the command line's own
            AwsCommand.parse(command)
    assert named or page != "docs/operations.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_exists(page: str) -> None:
    at_top = {path.partition("/")[0] for path in output_of("git", "ls-files").splitlines()}
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    paths = [code for code in code_of(page) if re.fullmatch(r"[\w./-]+", code) and code.partition("/")[0] in at_top]
    missing = [path for path in paths if not (ROOT / path).exists()]
    missing += [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


def test_every_folder_is_on_the_map() -> None:
    folders = {path.partition("/")[0] for path in output_of("git", "ls-files").splitlines() if "/" in path}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {folder for folder in folders if not folder.startswith(".") and f"`{folder}/" not in readme} == set()


def test_the_readme_shows_as_many_contracts_as_there_are() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert f"Contracts: {len(contracts)} kept, 0 broken." in (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_alone_lists_every_target() -> None:
    assert set(re.findall(r"^  ([a-z0-9-]+) ", output_of("make"), re.MULTILINE)) == TARGETS


@pytest.mark.parametrize(("words", "command"), [pytest.param(*entry, id=entry[0]) for entry in commands()])
def test_every_command_and_option_says_what_it_does(words: str, command: object) -> None:
    assert CliRunner().invoke(app, [*words.split()[1:], "--help"]).exit_code == 0
    assert getattr(command, "help", None)
    assert [
        parameter.name for parameter in getattr(command, "params", []) if not getattr(parameter, "help", None)
    ] == []


def test_decisions_are_numbered_without_gaps() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(re.findall(r"^# (\d+)\. ", page.read_text(encoding="utf-8"))[0]) for page in pages]
    assert numbers == [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md")))
def test_decisions_link_to_pages_that_exist(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)", (ROOT / "docs" / "adr" / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / "docs" / "adr" / link).exists()] == []
