"""docs/configuration.md says what the model says."""

import runpy
from pathlib import Path

import pytest

from outpost_ops.config.model import EnvironmentConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written() -> str:
    return (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_page_is_what_make_docs_writes(written: str) -> None:
    page = runpy.run_path(str(ROOT / "tools" / "configuration_page.py"))["page"]

    assert written == page(), "run `make docs`"


def test_every_setting_says_what_is_allowed(written: str) -> None:
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| `")]

    assert len(rows) > len(EnvironmentConfig.model_fields)
    assert [row[0] for row in rows if not row[3].strip("| ")] == []
