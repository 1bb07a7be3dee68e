"""Grok Build, xAI's CLI: by the Agent Client Protocol."""

import json
import re
from collections.abc import Mapping

from outpost.domain.agents import Alias
from worker.adapters.acp import EXIT_CODES, AcpTranscript, acp_command
from worker.adapters.base import Adapter, Invocation, Run, context_window

_COMMAND = ("grok", "--no-auto-update", "agent", "--no-leader", "--always-approve")
_SETTINGS_FILE = ".grok/requirements.toml"
_OFF = (
    *("cli.auto_update", "cli.show_tips", "cli.use_leader"),
    *("features.codebase_indexing", "features.feedback", "features.managed_config", "features.remote_fetch"),
    *("features.session_recap", "features.telemetry", "features.title_refresh", "features.turn_summary"),
    *("features.image_gen", "features.video_gen", "managed_mcps.enabled", "relay.enabled", "session.load_envrc"),
    *("telemetry.otel_enabled", "telemetry.trace_upload"),
)
_ON = ("allow_managed_hooks_only", "disable_web_search", "harness.disable_workspace_teleport")
"""No hooks of a repository, no searches, which xAI bills beside tokens, no snapshots of the workspace elsewhere."""
_ENVIRONMENT = {
    # Without trust, which only a person can give, a repository's AGENTS.md and skills would not be read.
    "GROK_FOLDER_TRUST": "0",
    # Variables come after what `requirements.toml` does not pin.
    **dict.fromkeys(("GROK_TELEMETRY_ENABLED", "GROK_TELEMETRY_TRACE_UPLOAD", "GROK_FEEDBACK_ENABLED"), "0"),
    **dict.fromkeys(("GROK_ERROR_REPORTING", "GROK_TURN_SUMMARY", "GROK_TITLE_REFRESH"), "0"),
    "GROK_DISABLE_AUTOUPDATER": "1",
}


class _Lines(AcpTranscript):
    denial = re.compile(r"\ATool `\w+` was not executed: ")
    """How the output of a tool call begins that a rule of the repository's `.grok/config.toml` denies."""


class Grok(Adapter):
    """@xai-official/grok.

    `requirements.toml` comes before all other files, and what it pins before variables and options (the CLI's
    "Configuration reference"); of a repository's `.grok/config.toml` only MCP servers, plugins and rules are read.
    """

    transcript = _Lines
    exit_codes = EXIT_CODES
    settings_files = (".grok/config.toml", ".claude/settings.json")

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence every tool call is approved."""
        model = (f"--model={run.model}",) if run.model else ()
        return Invocation(
            argv=acp_command(*_COMMAND, *model, "stdio"),
            environment=_ENVIRONMENT | {"GROK_HOME": str(run.home / ".grok")},
            stdin=run.task_file,
            program=_COMMAND[0],
            home_files={_SETTINGS_FILE: _toml(_settings(run))},
        )


def _settings(run: Run) -> dict[str, object]:
    """Return the settings as dotted names; every call goes to the run's address, with one of the agent's models."""
    settings: dict[str, object] = dict.fromkeys(_OFF, False) | dict.fromkeys(_ON, True) | {"sandbox.profile": "off"}
    if run.model:
        settings |= {"models.default": run.model, "models.session_summary": run.model_for(Alias.FAST)}
    if run.base_url:
        api = f"{run.base_url}/v1"
        urls = ("models_base_url", "xai_api_base_url", "cli_chat_proxy_base_url")
        settings |= {f"endpoints.{name}": api for name in urls}
        for model in dict.fromkeys((*run.models.values(), *([run.model] if run.model else []))):
            fields = _model_settings(model, api)
            settings |= {f"model.{json.dumps(model)}.{name}": value for name, value in fields.items()}
    return settings


def _model_settings(model: str, api: str) -> dict[str, object]:
    return {
        "model": model,
        "name": model,
        "base_url": api,
        "api_backend": "responses",
        "env_key": "XAI_API_KEY",
        "context_window": context_window(model),
    }


def _toml(settings: Mapping[str, object]) -> str:
    """Return TOML, in which texts, numbers and booleans are written as in JSON."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
