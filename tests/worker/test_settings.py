"""A worker whose settings are incomplete or wrong does not start, and names what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from outpost.names import Env
from worker.settings import METADATA_VARIABLE, SettingsError, read_identity, read_settings

COMPLETE = {
    Env.AGENT: "shell",
    Env.ENVIRONMENT: "test",
    Env.QUEUE_URL: "http://127.0.0.1:1/queue",
    Env.BROKER_FUNCTION: "broker",
    Env.GIT_BASE_URL: "https://github.com",
    Env.GIT_ALLOWED_HOSTS: "github.com, git.example.org",
    Env.ISOLATION: "none",
    Env.WORKSPACES_PATH: "/mnt/workspaces",
    METADATA_VARIABLE: "http://127.0.0.1:1/v4/x",
}


def test_a_complete_environment_is_read() -> None:
    settings = read_settings(COMPLETE)
    assert settings.git_allowed_hosts == {"github.com", "git.example.org"}
    assert settings.launcher is None


@pytest.mark.parametrize("name", [n for n in COMPLETE if n not in (Env.GIT_ALLOWED_HOSTS, Env.ISOLATION)])
def test_each_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({**COMPLETE, name: ""})


def test_without_launcher_and_without_its_explicit_absence_no_agent_runs() -> None:
    with pytest.raises(SettingsError, match=Env.AGENT_LAUNCHER):
        read_settings({**COMPLETE, Env.ISOLATION: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [(Env.AGENT, "emacs"), (Env.ISOLATION, "off"), (Env.AGENT_LAUNCHER, "/nonexistent/launcher")],
)
def test_a_wrong_value_is_named_with_its_remedy(name: str, value: str) -> None:
    variables = {**COMPLETE, Env.ISOLATION: "", Env.AGENT_LAUNCHER: "/bin/true", name: value}
    with pytest.raises(SettingsError, match=f"{name}.*{value}.*(set|leave|rebuild)"):
        read_settings(variables)


def test_a_metadata_endpoint_that_does_not_respond_is_named() -> None:
    with pytest.raises(SettingsError, match=METADATA_VARIABLE):
        read_identity("http://127.0.0.1:1/v4/x", Agent.SHELL)


def test_a_launcher_that_cannot_change_the_user_stops_the_worker(tmp_path: Path) -> None:
    launcher = tmp_path / "launcher"
    launcher.write_text("#!/bin/sh\necho no capabilities >&2\nexit 1\n")
    launcher.chmod(0o755)
    variables = {**COMPLETE, Env.ISOLATION: "", Env.AGENT_LAUNCHER: str(launcher), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "worker"], env=variables, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert b"no capabilities" in done.stdout
