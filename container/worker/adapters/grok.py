"""Grok CLI: headless with `--prompt`; it prints its conversation at the end, one JSON message a line."""

from collections.abc import Iterator, Mapping

from outpost.domain.reasons import ReasonCode
from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.events import objects_at, text_at
from worker.adapters.transcript import JsonTranscript, Message, Transcript, Verdict, tool_line, tool_output

_ERRORS = ("Sorry, I encountered an error: ", "Error: ")
"""How its only message begins when a model call failed; it ends with exit code 0 then."""
_ROUNDS = "Maximum tool execution rounds reached."

_ENVIRONMENT = {"DOTENV_KEY": "", "GROK_MAX_TOKENS": "", "MORPH_API_KEY": ""}
"""Set to nothing, so that no `.env` sets them: a limit of tokens, and another provider for edits."""


class Grok(Adapter):
    """@vibe-kit/grok-cli. It reads no standard input, and an argument has a limit: the prompt names the task's file.

    Options and variables come before `.grok/settings.json`, and variables that are set before those of `.env`.
    """

    litter = ("/.grok/settings.json",)
    settings_files = (".grok/settings.json", ".env")

    def invocation(self, run: Run) -> Invocation:
        """Return the call."""
        prompt = f"Your task is in the file {run.task_file}. Read all of that file first, then do what it says."
        return Invocation(
            argv=("grok", f"--prompt={prompt}", *((f"--model={run.model}",) if run.model else ())),
            environment=_ENVIRONMENT | ({"GROK_BASE_URL": f"{run.base_url}/v1"} if run.base_url else {}),
        )

    def transcript(self) -> Transcript:
        """Return a reader of the messages."""
        return _Messages()


class _Messages(JsonTranscript):
    """The conversation: the last message of the assistant that calls no tool is the final event."""

    def __init__(self) -> None:
        super().__init__()
        self._before = ""
        """The role of the message before."""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        role, content = text_at(event, "role"), text_at(event, "content")
        calls = list(objects_at(event, "tool_calls"))
        self.finished = False
        if role == "assistant" and content and not event.get("tool_calls"):
            self.conclude(self._verdict(content))
        elif role == "assistant":
            self.verdict = None
        self._before = role
        if role == "assistant":
            self.final_message = content or None
            yield Message(content, progress=True)
            for call in calls:
                yield tool_line(text_at(call, "function", "name"), text_at(call, "function", "arguments"))
        elif role == "tool":
            yield from tool_output(content)

    def _verdict(self, content: str) -> Verdict:
        # When a call fails, all messages since the prompt are dropped; after tools, these are the model's own words.
        if content.startswith(_ERRORS) and self._before in ("", "user"):
            return Verdict(False, content)
        if content.startswith(_ROUNDS):
            return Verdict(False, content, ReasonCode.TURN_LIMIT)
        return Verdict(True)
