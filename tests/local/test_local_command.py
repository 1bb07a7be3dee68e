"""`outpost local` as it is typed: what it says, and what it refuses."""

import pytest
from typer.testing import CliRunner, Result

from outpost.cli import local
from outpost.local.environment import LocalEnvironment


@pytest.fixture
def environment(environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch) -> LocalEnvironment:
    """The instance the commands are about, not started."""
    monkeypatch.setattr(local, "DATA", environment.settings.data_dir)
    return environment


def outpost_local(*arguments: object) -> Result:
    return CliRunner().invoke(local.app, [str(argument) for argument in arguments])


def test_down_says_where_the_repositories_stay(environment: LocalEnvironment) -> None:
    environment.start()
    environment.git.create_sample_repository()
    said = outpost_local("down")
    assert said.exit_code == 0, said.output
    assert f"The git repositories stay in {environment.git.repositories}" in said.output
    assert (environment.git.repositories / "outpost" / "sample.git").exists()
    assert not environment.settings.logs_dir.exists()
