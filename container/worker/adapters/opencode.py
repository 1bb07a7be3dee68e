"""OpenCode: `opencode run --format json` reads the prompt from its standard input and prints one JSON event a line."""

import json
import re
from collections.abc import Iterator, Mapping

from outpost.domain.agents import Alias
from worker.adapters.base import Adapter, Invocation, Run, context_window
from worker.adapters.transcript import JsonTranscript, Message, Verdict, tool_line, tool_output
from worker.json_values import text_at, value_at

_PROVIDER = "anthropic"
_INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md")
_LARGEST_OUTPUT = 32_000
"""Tokens that a call asks for at most."""
_AGENTS = ("build", "compaction", "explore", "general", "summary", "title")
"""Its own; a model of their own would be none of the environment's."""
_ENVIRONMENT = dict.fromkeys(
    (
        *("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_DEFAULT_PLUGINS", "OPENCODE_DISABLE_LSP_DOWNLOAD"),
        *("OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_PROJECT_CONFIG", "OPENCODE_DISABLE_SHARE"),
        "OPENCODE_PURE",
    ),
    "1",
)
_COMMANDS_FILE = ".outpost/bash-env"
_OFFLINE = "npm_config_offline"
"""Its own npm looks up nothing: not the plugin API at each start, and no plugins of a repository's `opencode.json`."""


def _config(run: Run) -> dict[str, object]:
    model = f"{_PROVIDER}/{run.model}"
    return {
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,
        "lsp": False,
        "formatter": False,
        "shell": "/bin/bash",
        "instructions": [str(run.workspace / name) for name in _INSTRUCTIONS],
        "permission": {"external_directory": "allow"},
        "model": model,
        "small_model": f"{_PROVIDER}/{run.model_for(Alias.FAST)}",
        "agent": {name: {"model": model} for name in _AGENTS},
        "enabled_providers": [_PROVIDER],
        "provider": {
            _PROVIDER: {
                "npm": "@ai-sdk/anthropic",
                "options": {"baseURL": f"{run.base_url}/v1", "apiKey": "{env:ANTHROPIC_API_KEY}"},
                "models": {name: _model(name) for name in filter(None, {run.model, *run.models.values()})},
            }
        },
    }


def _model(name: str) -> dict[str, object]:
    """Return what its own list of models, which it would fetch, says of a model."""
    limit = {"context": context_window(name), "output": _LARGEST_OUTPUT}
    return {"name": name, "tool_call": True, "limit": limit}


_FINISHED: Mapping[str, str] = {
    "stop": "",
    "length": "the model's response reached its limit of tokens",
    "content-filter": "the provider's filter refused the response",
    "error": "the model's response ended with an error",
}
"""Why the last step of a run ends -> what went wrong; other steps end with `tool-calls` or `unknown`."""
_REFUSALS = re.compile(
    r"The user (has specified a rule which prevents you from using|rejected permission to use) this specific tool call"
)
"""How a tool's error begins that a rule denies, or that somebody would have to allow; it has no field for it."""


class _Events(JsonTranscript):
    """`opencode run --format json` (packages/opencode/src/cli/cmd/run.ts): a part of a message in each event."""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        match event.get("type"):
            case "step_start":
                self.reopen()
            case "step_finish":
                self._step_finished(text_at(event, "part", "reason"))
            case "text":
                self.final_message = text_at(event, "part", "text") or None
                yield Message(text_at(event, "part", "text"), progress=True)
            case "reasoning":
                yield Message(text_at(event, "part", "text"), progress=True)
            case "tool_use":
                yield from self._tool(value_at(event, "part"))
            case "error":
                words = text_at(event, "error", "data", "message") or text_at(event, "error", "name") or "an error"
                yield self.fail(words)

    def _step_finished(self, reason: str) -> None:
        fault = _FINISHED.get(reason)
        if fault is None:
            self.reopen()
        else:
            self.conclude(Verdict(not fault, fault))

    def _tool(self, part: object) -> Iterator[Message]:
        self.finished = False
        name, error = text_at(part, "tool"), text_at(part, "state", "error")
        yield tool_line(name, value_at(part, "state", "input"))
        if _REFUSALS.match(error):
            self.refuse(name)
        yield from tool_output(error or text_at(part, "state", "output"))


class OpenCode(Adapter):
    """opencode-ai.

    Of its settings the last one read wins, which is `OPENCODE_CONFIG_CONTENT` (opencode.ai, "Config"). A project's
    `opencode.json` and `.opencode` do not count: it would install plugins and packages that they name from npm.
    """

    transcript = _Events
    exit_codes: Mapping[int, str] = {1: "OpenCode reported an error"}
    settings_files = ("opencode.json", "opencode.jsonc", ".opencode/opencode.json")

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence every path may be opened."""
        argv = ["opencode", "run", "--format=json", "--title=Task"]  # without a title it asks the model for one
        if run.model:
            argv.append(f"--model={_PROVIDER}/{run.model}")
        config = _config(run) if run.model and run.base_url else {}
        # The commands that it runs are not offline: bash reads this file first.
        environment = {_OFFLINE: "true", "BASH_ENV": str(run.home / _COMMANDS_FILE)}
        environment |= {**_ENVIRONMENT, "OPENCODE_CONFIG_CONTENT": json.dumps(config)}
        home_files = {_COMMANDS_FILE: f"unset BASH_ENV {_OFFLINE}\n"}
        return Invocation(tuple(argv), environment, run.task_file, home_files=home_files)
