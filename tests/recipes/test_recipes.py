"""docs/recipes.md and docs/agents.md, applied to the letter in a copy of the checkout: their own checks pass."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.recipes.recipes import ROOT, Recipe, recipes

MOST_PLACES = 3
"""Files that an addition may touch besides tests and generated pages."""
INSTALLED = (".tools", ".venv", "node_modules")
LEFT_OUT = (*INSTALLED, ".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "build", "cdk.out")
OPTIONS = {"make": ("-o", ".venv/.ready"), "pytest": ("-q", "-p", "no:cacheprovider")}
"""Of programs in the copy: what is installed belongs to the original, and is not made again."""
ROOTS = (".", "clients", "constructs", "container", "embedded", "lambda", "migration", "operations")
RECIPES = [*recipes("recipes.md"), *recipes("agents.md")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout with what is installed in the original."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__", *LEFT_OUT), symlinks=True)
    for name in INSTALLED:
        copy.joinpath(name).symlink_to(ROOT / name)
    return copy


def run(command: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command)
    path = os.pathsep.join([str(checkout / ".venv" / "bin"), os.environ["PATH"]])
    roots = os.pathsep.join(str(checkout / root) for root in ROOTS)
    return subprocess.run(
        [program, *OPTIONS.get(program, ()), *arguments],
        cwd=checkout,
        env=os.environ | {"PATH": path, "PYTHONPATH": roots},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_touches_at_most_three_places_and_brings_a_check(recipe: Recipe) -> None:
    assert len(recipe.places) <= MOST_PLACES
    assert any(command.startswith("pytest") for command in recipe.commands)


def test_contributing_names_every_recipe() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [recipe.title for recipe in RECIPES if f"#{recipe.title.lower().replace(' ', '-')})" not in page]
    assert missing == []


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_works_as_it_is_written(recipe: Recipe, checkout: Path) -> None:
    recipe.apply(checkout)
    for command in ("ruff check .", "ruff format --check .", "lint-imports", *recipe.commands):
        done = run(command, checkout)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert " skipped" not in done.stdout
