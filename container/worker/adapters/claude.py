"""Claude Code: `claude -p` reads the prompt from its standard input and prints one JSON event a line."""

from collections.abc import Iterator, Mapping
from typing import Any

from outpost.domain.agents import Alias
from outpost.domain.usage import tokens_of
from worker.adapters.base import Adapter, Invocation, JsonTranscript, Run, Said, Transcript, tool_line

_MODELS = {
    "ANTHROPIC_DEFAULT_FABLE_MODEL": Alias.FLAGSHIP,
    "ANTHROPIC_DEFAULT_OPUS_MODEL": Alias.FLAGSHIP,
    "ANTHROPIC_DEFAULT_SONNET_MODEL": Alias.BALANCED,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": Alias.FAST,
}
"""What its names for models stand for, in its own calls and in subagents' (code.claude.com, "Model configuration")."""


class Claude(Adapter):
    """@anthropic-ai/claude-code."""

    exit_codes: Mapping[int, str] = {1: "Claude Code reported an error"}

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence no permission prompts."""
        argv = ("claude", "--print", "--output-format=stream-json", "--verbose", "--dangerously-skip-permissions")
        environment = {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }
        environment |= {name: chosen for name, alias in _MODELS.items() if (chosen := run.model_for(alias))}
        if run.base_url:
            environment["ANTHROPIC_BASE_URL"] = run.base_url
        model = (f"--model={run.model}",) if run.model else ()
        return Invocation(argv=(*argv, *model), environment=environment, stdin=run.task_file)

    def transcript(self) -> Transcript:
        """Return a reader of stream-json."""
        return _Events()


class _Events(JsonTranscript):
    def event(self, event: Mapping[str, Any]) -> Iterator[Said]:
        match event["type"]:
            case "system" if event.get("subtype") == "init":
                yield Said(f"Claude Code {event['claude_code_version']} with {event['model']}")
            case "system" if event.get("subtype") == "api_retry":
                yield Said(f"model call failed ({event['error']}); try {event['attempt']} of {event['max_retries']}")
            case "assistant" | "user":
                for block in event["message"]["content"]:
                    yield from _block(block)
            case "result":
                self.tokens = tokens_of(event["usage"])
                self.final_message = event.get("result")
                if event["is_error"]:
                    self.failure = event.get("result") or event["subtype"]
                yield Said(f"{event['subtype']} after {event['num_turns']} turns")


def _block(block: Mapping[str, Any] | str) -> Iterator[Said]:
    if isinstance(block, str):
        return
    if block["type"] == "text":
        yield Said(block["text"], progress=True)
    elif block["type"] == "tool_use":
        yield tool_line(block["name"], block["input"])
    elif block["type"] == "tool_result" and isinstance(block["content"], str):
        yield Said(block["content"])
    elif block["type"] == "tool_result":
        yield from (Said(part["text"]) for part in block["content"] if part["type"] == "text")
