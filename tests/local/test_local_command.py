"""`outpost local` as it is typed: what it says, and what it refuses."""

import pytest
from typer.testing import CliRunner, Result

from outpost_client.cli.connection import ERROR
from outpost_local import command
from outpost_local.environment import LocalEnvironment
from tests.ports import free_port


@pytest.fixture
def environment(environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch) -> LocalEnvironment:
    """The instance the commands are about, not started."""
    monkeypatch.setattr(command, "DATA", environment.settings.data_dir)
    return environment


def outpost_local(*arguments: object) -> Result:
    return CliRunner().invoke(command.app, [str(argument) for argument in arguments])


def test_down_says_where_the_repositories_stay(environment: LocalEnvironment) -> None:
    environment.start()
    environment.git.create_sample_repository()
    said = outpost_local("down")
    assert said.exit_code == 0, said.output
    assert f"The git repositories stay in {environment.git.repositories}" in said.output
    assert (environment.git.repositories / "outpost" / "sample.git").exists()
    assert not environment.settings.logs_dir.exists()


def test_up_on_another_port_than_the_running_one_is_refused_in_a_line(environment: LocalEnvironment) -> None:
    environment.start()
    running = environment.settings
    said = outpost_local("up", "--port", free_port(), "--git-port", running.git_port)
    assert said.exit_code == ERROR
    assert f"`make up ENGINE=process PORT={running.port} GIT_PORT={running.git_port}`" in said.output
    assert len(said.output.splitlines()) == 1
    assert environment.status().running


@pytest.mark.parametrize("option", ["--port", "--git-port"])
@pytest.mark.parametrize("port", [0, 65536])
def test_a_number_that_is_no_port_is_refused(environment: LocalEnvironment, option: str, port: int) -> None:
    said = outpost_local("up", option, port)
    assert said.exit_code == ERROR
    assert f"Invalid value for '{option}'" in said.output
    assert not environment.settings.data_dir.exists()
