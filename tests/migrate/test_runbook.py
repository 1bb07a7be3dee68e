"""The runbook's commands are run, in its order, against the demonstration host."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from outpost_migration.reference import RUNBOOK
from outpost_migration.registry import STEPS

World = Any
TEXT = RUNBOOK.read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def test_the_runbook_names_every_step() -> None:
    assert {step for step in STEPS if f"outpost migrate {step}" not in TEXT} == set()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_runbooks_commands_do_what_it_says(fresh: World, tmp_path: Path) -> None:
    may_be_early = {"rollback", "decommission", "verify", "acceptance", "report"}
    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] == "make":
            continue
        if "rollback" in words:
            cut_over(fresh)
        arguments = [str(tmp_path / word) if word.endswith(".html") else word for word in words[1:]]
        done = fresh.outpost(*arguments)
        step = next((word for word in words[2:] if word in may_be_early), None)
        if step is None:
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        elif done.returncode == 2:
            assert re.search(r"needs \w+ to have passed", done.stderr), (command, done.stderr)
        else:
            assert done.returncode in {0, 1, 3}, (command, done.stderr)
        if "rollback" in words:
            cut_over(fresh)  # what follows in the runbook follows a cutover that stands
    assert (tmp_path / "migration-report.html").stat().st_size > 5_000


def cut_over(world: World) -> None:
    despite = [f"--despite={step}=a test" for step in ("update-clients", "shadow", "validate", "archive")]
    moved = world.outpost("migrate", *despite, "cutover")
    assert moved.returncode == 0, moved.stderr
