"""What the platform decides is set where a CLI looks last, so that no file of a repository comes after it.

Whether it has that effect on the real programs is in test_real_clis_settings.py.
"""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from outpost.domain.agents import CATALOGUE, Agent
from worker.adapters import ADAPTERS
from worker.adapters.base import Invocation, Run, StartError
from worker.adapters.gemini import _SYSTEM_SETTINGS

BASE = {"PATH": "/usr/bin", "HOME": "/run/home", "LANG": "C.UTF-8"}
WITH_MODEL = [agent for agent in Agent if CATALOGUE[agent].provider]


def invocation(agent: Agent) -> Invocation:
    tokens = dict.fromkeys(CATALOGUE[agent].token_variables, "the-token")
    run = Run(Path("/run/task"), Path("/run/home"), "a-model", "http://127.0.0.1:9", environment=BASE, tokens=tokens)
    return ADAPTERS[agent].invocation(run)


@pytest.mark.parametrize("agent", Agent)
def test_no_token_is_on_a_command_line_or_in_the_adapters_environment(agent: Agent) -> None:
    found = invocation(agent)
    assert "the-token" not in " ".join(found.argv)
    assert "the-token" not in " ".join(found.environment.values())


@pytest.mark.parametrize("agent", WITH_MODEL)
def test_every_cli_has_its_repositorys_settings_files_named(agent: Agent) -> None:
    files = ADAPTERS[agent].settings_files
    assert files
    assert not any(Path(file).is_absolute() for file in files)


def test_claude_takes_provider_and_sign_in_from_nowhere_else_and_its_settings_from_a_flag() -> None:
    found = invocation(Agent.CLAUDE)
    assert found.environment["CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST"] == "1"
    (name, content) = next(iter(found.home_files.items()))
    assert f"--settings=/run/home/{name}" in found.argv
    settings = json.loads(content)
    assert settings["disableAllHooks"] is True
    assert settings["sandbox"] == {"enabled": False}
    assert "Bash" in settings["permissions"]["allow"]
    assert settings["env"].items() >= {**BASE, **found.environment}.items()
    assert "the-token" not in content


def test_codex_calls_nobody_but_its_provider_and_asks_nobody() -> None:
    argv = invocation(Agent.CODEX).argv
    settings = {word.removeprefix("--config=") for word in argv if word.startswith("--config=")}
    assert settings >= {"analytics.enabled=false", "features.plugins=false", "check_for_update_on_startup=false"}
    assert 'model_provider="outpost"' in settings
    assert "--dangerously-bypass-approvals-and-sandbox" in argv


def test_gemini_has_system_settings_and_takes_no_variable_of_theirs_from_a_file() -> None:
    found = invocation(Agent.GEMINI)
    assert found.environment["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] == str(_SYSTEM_SETTINGS)
    settings = json.loads(_SYSTEM_SETTINGS.read_text())
    assert settings["security"]["auth"]["enforcedType"] == "gemini-api-key"
    assert (settings["security"]["disableYoloMode"], settings["tools"]["sandbox"]) == (False, False)
    assert settings["hooksConfig"]["enabled"] is False
    for name in ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GEMINI_SANDBOX", "GEMINI_CLI_HOME"):
        assert found.environment[name] == ""
    assert "--allowed-mcp-server-names=none" in found.argv
    assert json.loads(found.home_files[".gemini/settings.json"]).items() >= {"security": settings["security"]}.items()


@pytest.mark.parametrize(
    "files", [(), (".env",), (".gemini/settings.json",)], ids=lambda files: "".join(files) or "none"
)
def test_gemini_does_not_start_where_a_repositorys_settings_would_come_before_the_platforms(
    files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_bytes(_SYSTEM_SETTINGS.read_bytes())
    settings.chmod(0o666)
    monkeypatch.setattr("worker.adapters.gemini._SYSTEM_SETTINGS", settings)
    run = Run(Path("/run/task"), Path("/run/home"), "a-model", "http://127.0.0.1:9", settings_files=files)
    if ".gemini/settings.json" not in files:
        assert ADAPTERS[Agent.GEMINI].invocation(run).argv[0] == "gemini"
        return
    with pytest.raises(StartError, match=rf"{re.escape(str(settings))} does not belong to root.*or remove the file"):
        ADAPTERS[Agent.GEMINI].invocation(run)


def test_gemini_accepts_the_system_settings_of_the_image() -> None:
    dockerfile = (Path(__file__).parents[2] / "container" / "worker" / "Dockerfile").read_text()
    after = dockerfile.partition("COPY container/worker /app/container/worker\n")[2].partition("USER ")[0]
    assert "RUN chmod -R go-w /app\n" in after  # it skips a file in a folder that others may write


def test_aider_reads_last_the_variables_and_settings_of_models_that_the_platform_names() -> None:
    found = invocation(Agent.AIDER)
    named = dict(word.removeprefix("--").split("=", 1) for word in found.argv if word.startswith("--") and "=" in word)
    lines = found.home_files[named["env-file"].removeprefix("/run/home/")].splitlines()
    variables = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert variables["DEEPSEEK_API_KEY"] == "the-token"
    assert variables["AIDER_API_KEY"] == "deepseek=the-token"
    assert variables["DEEPSEEK_API_BASE"] == "http://127.0.0.1:9/v1"
    assert variables.items() >= BASE.items()
    (settings,) = json.loads(found.home_files[named["model-settings-file"].removeprefix("/run/home/")])
    assert settings["extra_params"]["api_base"] == "http://127.0.0.1:9/v1"
    assert {"--no-dry-run", "--no-auto-test", "--no-auto-lint", "--edit-format=diff"} <= set(found.argv)


def test_grok_keeps_the_code_here_and_calls_one_address() -> None:
    found = invocation(Agent.GROK)
    settings = tomllib.loads(found.home_files[".grok/requirements.toml"])
    assert set(settings["endpoints"].values()) == {"http://127.0.0.1:9/v1"}
    assert {model["base_url"] for model in settings["model"].values()} == {"http://127.0.0.1:9/v1"}
    off = ("codebase_indexing", "feedback", "managed_config", "remote_fetch", "telemetry")
    assert not any(settings["features"][name] for name in off)
    assert (settings["telemetry"]["trace_upload"], settings["harness"]["disable_workspace_teleport"]) == (False, True)
    assert (settings["cli"]["auto_update"], settings["allow_managed_hooks_only"]) == (False, True)
    assert found.environment["GROK_HOME"] == "/run/home/.grok"


def test_opencode_fetches_nothing_and_reads_no_settings_of_a_project() -> None:
    found = invocation(Agent.OPENCODE)
    switches = ("AUTOUPDATE", "DEFAULT_PLUGINS", "LSP_DOWNLOAD", "MODELS_FETCH", "PROJECT_CONFIG", "SHARE")
    assert all(found.environment[f"OPENCODE_DISABLE_{name}"] == "1" for name in switches)
    assert found.environment["npm_config_offline"] == "true"
    config = json.loads(found.environment["OPENCODE_CONFIG_CONTENT"])
    assert config["model"] == config["small_model"] == "anthropic/a-model"
    assert config["enabled_providers"] == list(config["provider"]) == ["anthropic"]
    assert (config["share"], config["autoupdate"], config["lsp"]) == ("disabled", False, False)


def test_the_commands_of_opencode_are_not_offline(tmp_path: Path) -> None:
    found = ADAPTERS[Agent.OPENCODE].invocation(Run(tmp_path / "task", tmp_path))
    for name, content in found.home_files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    done = subprocess.run(
        ["/bin/bash", "-c", "/usr/bin/env"], env=found.environment, capture_output=True, text=True, check=True
    )
    assert "npm_config_offline" not in done.stdout
    assert "OPENCODE_DISABLE_SHARE" in done.stdout


def test_copilot_is_offline_but_for_its_model() -> None:
    found = invocation(Agent.COPILOT)
    assert (found.environment["COPILOT_OFFLINE"], found.environment["COPILOT_AUTO_UPDATE"]) == ("true", "false")
    assert found.environment["COPILOT_PROVIDER_BASE_URL"] == "http://127.0.0.1:9/v1"
    assert {"--allow-all", "--no-ask-user"} <= set(found.argv)
