"""Codex: `codex exec --json -` reads the prompt from its standard input and prints one JSON event a line."""

import json
import re
from collections.abc import Iterator, Mapping

from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.transcript import JsonTranscript, Message, Verdict, error_line, tool_line, tool_output
from worker.json_values import error_text_at, objects_at, text_at, value_at

_CONFIG = ("check_for_update_on_startup=false", "analytics.enabled=false", "features.plugins=false")
"""Nothing is looked up or reported elsewhere: updates, usage, the list of plugins."""


def _route(run: Run, base_url: str) -> list[str]:
    """Return the settings that say where the model is.

    Its own provider for Bedrock's Responses API knows the models' ids there, and asks for no tools that run at OpenAI,
    which Bedrock has not (codex-rs/model-provider/src/amazon_bedrock/runtime.rs, as of 0.169.0).
    """
    if run.bedrock:
        name, url = "amazon-bedrock-runtime", json.dumps(f"{base_url}/v1")
        fields = f"model_providers.{name}"
        return [f'model_provider="{name}"', f"{fields}.base_url={url}", f'{fields}.aws.region="{run.bedrock}"']
    provider = {
        "name": "Outpost",
        "base_url": f"{base_url}/v1",
        "env_key": "OPENAI_API_KEY",
        "wire_api": "responses",
    }
    fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in provider.items())
    return ['model_provider="outpost"', f"model_providers.outpost={{{fields}}}"]


class _Events(JsonTranscript):
    """`codex exec --json` (codex-rs/exec/src/exec_events.rs, `ThreadEvent`)."""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        match event.get("type"):
            case "turn.completed":
                self.conclude(Verdict(True))
            case "turn.failed":
                yield self.fail(error_text_at(event, "error") or "the turn failed")
            case "error":  # "unrecoverable"; yet a lost connection that is made again is reported so as well
                words = text_at(event, "message") or "an error without a message"
                self.verdict = Verdict(False, words)
                yield error_line(words)
            case "turn.started":
                self.reopen()
            case "item.started" if text_at(event, "item", "type") in ("command_execution", "mcp_tool_call"):
                self.finished = False
                yield from self._started(value_at(event, "item"))
            case "item.completed":
                self.tool_ended(text_at(event, "item", "id"))
                yield from self._item(value_at(event, "item"))

    def read_error(self, line: str) -> None:
        """Record a command that a rule or the approval policy forbids: no event reports it."""
        if _REJECTION.search(line):
            self.refuse("shell")

    def _started(self, item: object) -> Iterator[Message]:
        if command := text_at(item, "command"):
            yield self.tool_started(text_at(item, "id"), "shell", command)
        else:  # shown when it has ended
            self.tool_started(text_at(item, "id"), text_at(item, "tool"), value_at(item, "arguments"))

    def _item(self, item: object) -> Iterator[Message]:
        match text_at(item, "type"):
            case "agent_message":
                self.final_message = text_at(item, "text") or None
                yield Message(text_at(item, "text"), progress=True)
            case "reasoning":
                yield Message(text_at(item, "text"), progress=True)
            case "error":
                yield error_line(text_at(item, "message"))
            case _:
                yield from self._tool_item(item)

    def _tool_item(self, item: object) -> Iterator[Message]:
        match text_at(item, "type"):
            case "command_execution":
                if text_at(item, "status") == "declined":
                    self.refuse("shell")
                yield from tool_output(text_at(item, "aggregated_output").removesuffix("\n"))
            case "file_change":
                if text_at(item, "status") == "declined":
                    self.refuse("apply_patch")
                for change in objects_at(item, "changes"):
                    yield tool_line(text_at(change, "kind"), text_at(change, "path"))
            case "mcp_tool_call":
                if _MCP_REFUSAL.search(text_at(item, "error", "message")):
                    self.refuse(text_at(item, "tool"))
                yield tool_line(text_at(item, "tool"), value_at(item, "arguments"))


_REJECTION = re.compile(
    r"\bcodex_core::tools::\w+: error=(patch rejected|[^{]{0,400}CreateProcess \{ message: \"Rejected\()"
)
"""Its log of errors, on standard error, as of 0.169.0."""
_MCP_REFUSAL = re.compile(r"user (rejected|cancelled|declined) MCP tool call", re.IGNORECASE)


class Codex(Adapter):
    """@openai/codex.

    Flags and `--config` come before all files (developers.openai.com, "Config basics"). A project's `.codex` counts
    in trusted projects only, and nobody trusts this one; its AGENTS.md and skills are read.
    """

    transcript = _Events
    exit_codes: Mapping[int, str] = {1: "Codex reported an error", 2: "Codex refused its arguments"}
    settings_files = (".codex/config.toml",)

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox. A base URL is a provider of its own in Codex's settings."""
        argv = ["codex", "exec", "--json", "--ephemeral", "--skip-git-repo-check"]
        argv.append("--dangerously-bypass-approvals-and-sandbox")
        argv += [f"--config={setting}" for setting in _CONFIG]
        if run.base_url:
            argv += [f"--config={setting}" for setting in _route(run, run.base_url)]
        if run.model:
            argv.append(f"--model={run.model}")
        environment = {"AWS_BEARER_TOKEN_BEDROCK": next(iter(run.tokens.values()))} if run.bedrock else {}
        return Invocation((*argv, "-"), environment, run.task_file)
