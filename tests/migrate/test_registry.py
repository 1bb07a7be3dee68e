"""Commands, order, schemas and the runbook's table are made of the registry of steps."""

import pytest
from typer.main import get_group

from outpost_migration.cli.migrate import app
from outpost_migration.reference import RUNBOOK, SCHEMAS, runbook, schemas
from outpost_migration.registry import STEPS


def test_every_step_is_a_command_with_its_own_options_and_those_of_all() -> None:
    commands = get_group(app).commands
    assert list(commands) == ["status", *STEPS, "show", "report"]
    for name, step in STEPS.items():
        assert [parameter.name for parameter in commands[name].params] == [
            *(option.name for option in step.options),
            "dry_run",
            "as_json",
        ]
    assert [option.name for option in STEPS["rollback"].options] == ["level", "reason"]


def test_a_step_needs_and_undoes_only_steps_before_it() -> None:
    names = list(STEPS)
    for number, step in enumerate(STEPS.values()):
        assert {*step.needs, *step.undoes} <= set(names[:number]), step.name


@pytest.mark.parametrize("file", sorted(schemas()))
def test_the_schema_in_the_documentation_is_the_models(file: str) -> None:
    assert (SCHEMAS / file).read_text(encoding="utf-8") == schemas()[file], "run: python -m outpost_migration.reference"


def test_every_schema_has_a_step() -> None:
    assert {path.name for path in SCHEMAS.glob("*.schema.json")} == set(schemas())


def test_the_runbooks_table_is_of_the_steps() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    assert runbook(text) == text, "run: python -m outpost_migration.reference"
    assert f"| `outpost migrate archive` | {STEPS['archive'].takes} |" in text
