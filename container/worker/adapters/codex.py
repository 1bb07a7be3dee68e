"""Codex: `codex exec --json -` reads the prompt from its standard input and prints one JSON event a line."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from outpost.domain.usage import Tokens
from worker.adapters.base import Adapter, Invocation, JsonTranscript, Run, Said, Transcript, tool_line


class Codex(Adapter):
    """@openai/codex."""

    exit_codes: Mapping[int, str] = {1: "Codex reported an error", 2: "Codex refused its arguments"}

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox. A base URL is a provider of its own in Codex's settings."""
        argv = ["codex", "exec", "--json", "--ephemeral", "--skip-git-repo-check"]
        argv += ["--dangerously-bypass-approvals-and-sandbox", "--config", "check_for_update_on_startup=false"]
        if run.base_url:
            provider = {
                "name": "Outpost",
                "base_url": f"{run.base_url}/v1",
                "env_key": "OPENAI_API_KEY",
                "wire_api": "responses",
            }
            fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in provider.items())
            argv += ["--config", 'model_provider="outpost"', "--config", f"model_providers.outpost={{{fields}}}"]
        if run.model:
            argv.append(f"--model={run.model}")
        return Invocation(argv=(*argv, "-"), stdin=run.task_file)

    def transcript(self) -> Transcript:
        """Return a reader of the event stream."""
        return _Events()


class _Events(JsonTranscript):
    def event(self, event: Mapping[str, Any]) -> Iterator[Said]:
        match event["type"]:
            case "item.started" if event["item"]["type"] == "command_execution":
                yield tool_line("shell", event["item"]["command"])
            case "item.completed":
                yield from self._item(event["item"])
            case "turn.completed":
                usage = event["usage"]
                turn = Tokens(
                    input=usage["input_tokens"], cached=usage["cached_input_tokens"], output=usage["output_tokens"]
                )
                self.tokens = (self.tokens or Tokens()) + turn
            case "turn.failed":
                self.failure = event["error"]["message"]
                yield Said(f"error: {self.failure}")
            case "error":
                yield Said(f"error: {event['message']}")

    def _item(self, item: Mapping[str, Any]) -> Iterator[Said]:
        match item["type"]:
            case "agent_message":
                self.final_message = item["text"]
                yield Said(item["text"], progress=True)
            case "reasoning":
                yield Said(item["text"], progress=True)
            case "command_execution" if item["aggregated_output"]:
                yield Said(item["aggregated_output"].removesuffix("\n"))
            case "file_change":
                yield from (tool_line(change["kind"], change["path"]) for change in item["changes"])
            case "mcp_tool_call":
                yield tool_line(item["tool"], item.get("arguments", {}))
            case "error":
                yield Said(f"error: {item['message']}")
