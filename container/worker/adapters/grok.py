"""Grok CLI: headless with `--prompt`; it prints its conversation at the end, one JSON message a line."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.adapters.base import Adapter, Invocation, JsonTranscript, Run, Said, Transcript, tool_line

_TROUBLE = ("Sorry, I encountered an error: ", "Error: ")
"""How its last message begins when a model call failed; it ends with exit code 0 then."""


class Grok(Adapter):
    """@vibe-kit/grok-cli. It reads no standard input, and an argument has a limit: the prompt names the task's file."""

    litter = ("/.grok/settings.json",)

    def invocation(self, run: Run) -> Invocation:
        """Return the call."""
        prompt = f"Your task is in the file {run.task_file}. Read all of that file first, then do what it says."
        return Invocation(
            argv=("grok", f"--prompt={prompt}", *((f"--model={run.model}",) if run.model else ())),
            environment={"GROK_BASE_URL": f"{run.base_url}/v1"} if run.base_url else {},
        )

    def transcript(self) -> Transcript:
        """Return a reader of the messages."""
        return _Messages()


class _Messages(JsonTranscript):
    def event(self, event: Mapping[str, Any]) -> Iterator[Said]:
        content: str = event["content"] or ""
        if event["role"] == "assistant":
            self.final_message = content
            self.failure = content if content.startswith(_TROUBLE) else None
            yield Said(content, progress=True)
            for call in event.get("tool_calls", ()):
                yield tool_line(call["function"]["name"], call["function"]["arguments"])
        elif event["role"] == "tool":
            yield Said(content)
