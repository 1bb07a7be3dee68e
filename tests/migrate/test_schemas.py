"""Every report has a schema in docs/schemas, made from its model."""

import pytest

from outpost_migration.reports import REPORTS
from outpost_migration.runner import NEEDS
from outpost_migration.schemas import FOLDER, texts


@pytest.mark.parametrize("file", sorted(texts()))
def test_the_schema_in_the_documentation_is_the_models(file: str) -> None:
    assert (FOLDER / file).read_text(encoding="utf-8") == texts()[file], "run: python -m outpost_migration.schemas"


def test_every_step_has_a_report_and_every_schema_a_step() -> None:
    assert set(REPORTS) == set(NEEDS)
    assert {path.name for path in FOLDER.glob("*.schema.json")} == set(texts())
