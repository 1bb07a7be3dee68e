"""The folders that must not become packages (docs/adr/0002-source-roots.md)."""

import re
import tomllib

import constructs
import pytest

from tests.infra.conftest import ROOT

ROOTS = ("clients", "constructs", "container", "embedded", "lambda", "migration", "operations")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINTER = PROJECT["tool"]["importlinter"]
PLACED = {
    name
    for contract in LINTER["contracts"]
    if contract["type"] == "layers"
    for layer in contract["layers"]
    for name in layer.split(" | ")
}
"""Packages and modules that the contract of layers names."""


def packages() -> set[str]:
    """The packages of the checkout, by path."""
    found = [path.parent for root in ROOTS for path in ROOT.glob(f"{root}/*/__init__.py")]
    return {str(path.relative_to(ROOT)) for path in found} | {"outpost", "stacks"}


@pytest.mark.parametrize("folder", ROOTS)
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


def test_packages_have_names_of_their_own() -> None:
    names = [path.rpartition("/")[2] for path in packages()]

    assert len(names) == len(set(names))


def test_every_package_is_installed_by_one_of_the_two_projects() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert {*wheel["only-include"], "clients"} == {*ROOTS, "outpost", "stacks"}
    assert {*wheel["sources"], "clients"} == {*ROOTS}


def test_every_package_has_its_place_in_the_layers() -> None:
    names = {path.rpartition("/")[2] for path in packages()}

    assert set(LINTER["root_packages"]) == names
    assert {name.partition(".")[0] for name in PLACED} == names


def test_every_module_of_outpost_and_outpost_ops_has_its_place_in_the_layers() -> None:
    folders = (ROOT / "outpost", ROOT / "operations" / "outpost_ops")
    files = [path for folder in folders for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))]
    dotted = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    modules = {name.removeprefix("operations.").removesuffix(".__init__") for name in dotted}

    assert {name for name in PLACED if "." in name} == modules - {"outpost", "outpost_ops"}
