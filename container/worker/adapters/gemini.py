"""Gemini CLI: headless with `--prompt`, the prompt itself from its standard input, one JSON event a line."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from outpost.domain.usage import Tokens
from worker.adapters.base import Adapter, Invocation, JsonTranscript, Run, Said, Transcript, tool_line

# Where a base URL is set, the CLI would choose a way to sign in that its headless mode refuses: the settings choose.
_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


def _models(run: Run) -> dict[str, object]:
    """Return settings that make all calls with this run's model: every model configuration extends `base`."""
    override = {"match": {"model": "base"}, "modelConfig": {"model": run.model}}
    return {"modelConfigs": {"customOverrides": [override]}} if run.model else {}


class Gemini(Adapter):
    """@google/gemini-cli."""

    exit_codes: Mapping[int, str] = {
        41: "Gemini CLI could not sign in",
        42: "Gemini CLI refused its input",
        52: "Gemini CLI refused its settings",
        53: "the limit of turns was reached",
    }

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence every tool call is approved."""
        argv = ("gemini", "--prompt=", "--output-format=stream-json", "--approval-mode=yolo")
        environment = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
        if run.base_url:
            environment["GOOGLE_GEMINI_BASE_URL"] = run.base_url
        return Invocation(
            argv=(*argv, f"--model={run.model}") if run.model else argv,
            environment=environment,
            stdin=run.task_file,
            home_files={".gemini/settings.json": json.dumps(_SETTINGS | _models(run))},
        )

    def transcript(self) -> Transcript:
        """Return a reader of stream-json."""
        return _Events()


class _Events(JsonTranscript):
    def __init__(self) -> None:
        super().__init__()
        self._message: list[str] = []

    def event(self, event: Mapping[str, Any]) -> Iterator[Said]:
        if event["type"] == "message" and event["role"] == "assistant":
            self._message.append(event["content"])  # in pieces, wherever the stream was cut
            return
        if self._message:
            self.final_message = "".join(self._message)
            self._message = []
            yield Said(self.final_message, progress=True)
        match event["type"]:
            case "tool_use":
                yield tool_line(event["tool_name"], event["parameters"])
            case "tool_result" if event.get("output"):
                yield Said(event["output"])
            case "error":
                yield Said(f"error: {event['message']}")
            case "result":
                stats = event["stats"]
                self.tokens = Tokens(
                    input=stats["input_tokens"], cached=stats.get("cached", 0), output=stats["output_tokens"]
                )
                if event["status"] == "error":
                    self.failure = event["error"]["message"]
                    yield Said(f"error: {self.failure}")
