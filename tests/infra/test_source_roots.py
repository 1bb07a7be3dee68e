"""The folders that must not become packages (docs/adr/0002-source-roots.md)."""

import re

import constructs
import pytest

from tests.infra.conftest import ROOT


@pytest.mark.parametrize(
    "folder", ["clients", "constructs", "container", "embedded", "lambda", "migration", "operations"]
)
def test_a_source_root_is_no_package(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_package_constructs_is_the_one_from_pypi() -> None:
    assert "site-packages" in str(constructs.__file__)


def test_nobody_imports_our_constructs_through_that_package() -> None:
    wrong = re.compile(r"^\s*(from|import) constructs\.outpost_constructs", re.MULTILINE)
    roots = ("app.py", "clients", "embedded", "migration", "operations", "stacks", "constructs", "outpost", "tests")
    files = [
        file for root in roots for file in ([ROOT / root] if root.endswith(".py") else (ROOT / root).rglob("*.py"))
    ]

    assert [str(file) for file in files if wrong.search(file.read_text())] == []


def test_packages_of_the_source_roots_have_names_of_their_own() -> None:
    names = [
        path.parent.name
        for root in ("clients", "constructs", "container", "embedded", "lambda", "migration", "operations")
        for path in ROOT.glob(f"{root}/*/__init__.py")
    ]

    assert len(names) == len(set(names))
