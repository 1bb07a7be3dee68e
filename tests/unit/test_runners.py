"""Which tests of a run stay on one runner."""

import pytest

from outpost_local.settings import REPOSITORY_ROOT
from tests import conftest


def test_every_suite_that_is_named_exists() -> None:
    files = {*conftest.APART, conftest.SPREAD, *(suite for suite in conftest.FIRST if suite.endswith(".py"))}
    folders = {f"tests/{suite}" for suite in conftest.TOGETHER}

    assert {path for path in files | folders if not (REPOSITORY_ROOT / path).exists()} == set()
    assert set(conftest.FIRST) <= files | {*conftest.TOGETHER, *conftest.APART.values()}


@pytest.mark.parametrize(
    ("test", "suite"),
    [
        ("tests/migrate/test_acceptance.py::test_it", "migrate again"),
        ("tests/e2e/test_acceptance.py::test_it", "e2e"),
        ("tests/environments/test_prod.py::test_it", "tests/environments/test_prod.py"),
        ("tests/worker/test_conformance.py::test_it[claude-hang]", "claude"),
    ],
)
def test_a_suite_is_a_folder_a_file_or_what_a_test_tries(test: str, suite: str) -> None:
    assert conftest._scope(test) == suite
