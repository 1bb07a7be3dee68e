"""Claude Code: `claude -p` reads the prompt from its standard input and prints one JSON event a line."""

import json
import re
from collections.abc import Iterator, Mapping

from outpost.domain.agents import Alias
from outpost.domain.reasons import ReasonCode
from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.transcript import (
    JsonTranscript,
    Message,
    Verdict,
    attachment,
    error_line,
    tool_output,
)
from worker.json_values import error_text_at, number_at, objects_at, text_at

_MODELS = {
    "ANTHROPIC_DEFAULT_FABLE_MODEL": Alias.FLAGSHIP,
    "ANTHROPIC_DEFAULT_OPUS_MODEL": Alias.FLAGSHIP,
    "ANTHROPIC_DEFAULT_SONNET_MODEL": Alias.BALANCED,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": Alias.FAST,
}
"""What its names for models stand for, in its own calls and in subagents' (code.claude.com, "Model configuration")."""


_TOOLS = (
    "Bash",
    "Edit",
    "Monitor",
    "NotebookEdit",
    "Read",
    "Skill",
    "Task",
    "WebFetch",
    "WebSearch",
    "Write",
    "mcp__*",
)
"""Allowed by rule as well: a repository can switch off the mode that skips permissions, and then only rules allow."""
_PINNED = {
    "API_TIMEOUT_MS": "600000",
    "CLAUDE_CODE_MAX_RETRIES": "10",
    "CLAUDE_CODE_SHELL": "/bin/bash",
    "CLAUDE_CODE_SHELL_PREFIX": "",
    "MCP_TIMEOUT": "10000",
}
"""Variables that settings of a repository could set so that no model call or no command works; here the defaults."""
_SETTINGS_FILE = ".outpost/claude-settings.json"


def _route(run: Run, base_url: str) -> Mapping[str, str]:
    """Return the variables that say where the model is.

    Its mode "Mantle" speaks Anthropic's Messages as Bedrock takes them, without tools that run at Anthropic; the older
    Bedrock mode speaks `InvokeModel` (code.claude.com, "Claude Code on Amazon Bedrock").
    """
    if not run.bedrock:
        return {"ANTHROPIC_BASE_URL": base_url}
    return {
        "CLAUDE_CODE_USE_MANTLE": "1",
        "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": base_url,
        "AWS_BEARER_TOKEN_BEDROCK": next(iter(run.tokens.values())),
    }


def _settings(environment: dict[str, str]) -> dict[str, object]:
    """Return settings that come before the repository's; `env` before its variables of the same names.

    Its hooks do not run: commands for other machines, which can refuse or hold up every step. Its rules that deny
    tools stay.
    """
    return {
        "agent": "",
        "disableAllHooks": True,
        "permissions": {"allow": _TOOLS, "defaultMode": "bypassPermissions"},
        "sandbox": {"enabled": False},
        "env": environment | _PINNED,
    }


_UNFINISHED: Mapping[str, ReasonCode | None] = {
    "max_turns": ReasonCode.TURN_LIMIT,
    "prompt_too_long": ReasonCode.CONTEXT_EXCEEDED,
    "blocking_limit": ReasonCode.CONTEXT_EXCEEDED,
    "aborted_streaming": ReasonCode.NO_RESULT,
    "aborted_tools": ReasonCode.NO_RESULT,
    "tool_deferred": ReasonCode.NO_RESULT,
    "hook_stopped": ReasonCode.AGENT_REPORTED_FAILURE,
    "stop_hook_prevented": ReasonCode.AGENT_REPORTED_FAILURE,
    "budget_exhausted": ReasonCode.AGENT_REPORTED_FAILURE,
    "rapid_refill_breaker": ReasonCode.CONTEXT_EXCEEDED,
    **dict.fromkeys(("api_error", "image_error", "malformed_tool_use_exhausted", "model_error")),
    **dict.fromkeys(("structured_output_retry_exhausted", "tool_deferred_unavailable", "turn_setup_failed")),
}
"""Values of `terminal_reason` with which a run is not done, whatever the subtype says; None: the cause is elsewhere."""
_API_ERROR = re.compile(r"API Error(: \d{3}\b|: (Connection|Request|Unable)\b| \()")
"""How a result begins that is the error of a model call; a result may as well be about API errors, or quote one."""
_SYNTHETIC = "<synthetic>"
"""What stands for the model in a message that the CLI made itself, such as of a call that failed."""
_STOP_REASONS: Mapping[str, tuple[ReasonCode, str]] = {
    "tool_use": (ReasonCode.NO_RESULT, "the run ended on a tool call that was not executed"),
    "max_tokens": (ReasonCode.NO_RESULT, "the last response was cut at the model's output limit"),
    "model_context_window_exceeded": (ReasonCode.CONTEXT_EXCEEDED, "the model's context window is full"),
    "refusal": (ReasonCode.MODEL_REQUEST_REFUSED, "the model declined the task"),
}
"""Values of `stop_reason` with which the last response is no result (Agent SDK, "Handling stop reasons")."""


class _Events(JsonTranscript):
    """stream-json (Agent SDK reference, `SDKMessage`).

    A result is not the last one while background tasks run: the CLI waits for them, up to its own ceiling
    (CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS), and takes another turn when one ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_result = False
        """Whether the last turn has ended."""
        self._background: set[str] = set()
        """Ids of the background tasks that run."""
        self._by_model = False
        """Whether the last message of the run itself is a model's own."""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        match event.get("type"):
            case "result":
                for tool in _denied(event):
                    self.refuse(tool)
                if not text_at(event, "parent_tool_use_id"):  # a subagent's is not the run's
                    self._has_result = True
                    yield self._result(event)
            case "assistant" | "user":
                self._has_result = False
                self._note_author(event)
                for block in objects_at(event, "message", "content"):
                    yield from self._block(block)
            case "system":
                yield from self._system(event)
        self.finished = self._has_result and not self._background

    def _note_author(self, event: Mapping[str, object]) -> None:
        if event.get("type") == "assistant" and not text_at(event, "parent_tool_use_id"):
            self._by_model = text_at(event, "message", "model") not in ("", _SYNTHETIC)

    def _system(self, event: Mapping[str, object]) -> Iterator[Message]:
        match event.get("subtype"):
            case "init":
                self._has_result = False
                self.reopen()
                yield Message(f"Claude Code {text_at(event, 'claude_code_version')} with {text_at(event, 'model')}")
            case "api_retry":
                attempt, of = number_at(event, "attempt"), number_at(event, "max_retries")
                yield Message(f"model call failed ({text_at(event, 'error')}); try {attempt} of {of}")
            case "permission_denied":  # in rare cases no result has it ("permission_denials")
                self.refuse(text_at(event, "tool_name"))
            case "background_tasks_changed":
                running = {
                    text_at(task, "task_id"): text_at(task, "description") for task in objects_at(event, "tasks")
                }
                for ended in self._background - running.keys():
                    self.tool_ended(ended)
                for begun in running.keys() - self._background:
                    self.tool_started(begun, "background", running[begun])
                self._background = set(running)

    def _result(self, event: Mapping[str, object]) -> Message:
        verdict = _verdict(event, by_model=self._by_model)
        self.conclude(verdict)
        self.final_message = text_at(event, "result") or None
        turns = number_at(event, "num_turns")
        return Message(f"finished after {turns} turns") if verdict.success else error_line(verdict.message)

    def _block(self, block: Mapping[str, object]) -> Iterator[Message]:
        match block.get("type"):
            case "text" if text := text_at(block, "text"):
                yield Message(text, progress=True)
            case "tool_use":
                yield self.tool_started(text_at(block, "id"), text_at(block, "name"), block.get("input"))
            case "tool_result":
                self.tool_ended(text_at(block, "tool_use_id"))
                yield from tool_output(text_at(block, "content"))
                for part in objects_at(block, "content"):
                    yield from _part(part)


def _part(part: Mapping[str, object]) -> Iterator[Message]:
    if part.get("type") == "text":
        yield from tool_output(text_at(part, "text"))
    elif data := text_at(part, "source", "data"):
        yield Message(attachment(text_at(part, "type") or "data", len(data)))


def _verdict(event: Mapping[str, object], *, by_model: bool) -> Verdict:
    """Return what a result says in three fields, of which each may object; `by_model`: its words are a model's own."""
    subtype, reason = text_at(event, "subtype"), text_at(event, "terminal_reason")
    words = (
        text_at(event, "result")
        or "; ".join(_errors(event))
        or subtype.removeprefix("success")
        or "an error without a message"
    )
    if subtype != "success" or event.get("is_error") not in (False, None):
        code = ReasonCode.TURN_LIMIT if subtype == "error_max_turns" else _UNFINISHED.get(reason)
        return Verdict(False, words, code)
    if reason in _UNFINISHED:
        return Verdict(False, f"the run ended early ({reason})", _UNFINISHED[reason])
    if not by_model and _API_ERROR.match(words):
        return Verdict(False, words)
    if number_at(event, "num_turns") == 0:
        return Verdict(False, "no turn was taken: the task was read as a command of the CLI", ReasonCode.NO_MODEL_CALL)
    if stop := _STOP_REASONS.get(text_at(event, "stop_reason")):
        return Verdict(False, stop[1], stop[0])
    return Verdict(True)


def _errors(event: Mapping[str, object]) -> Iterator[str]:
    errors = event.get("errors")
    for error in errors if isinstance(errors, list) else [errors]:
        if words := error_text_at(error):
            yield words


def _denied(event: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of refused tools: any entry is a refusal, whatever its shape."""
    denials = event.get("permission_denials") or []
    for denial in denials if isinstance(denials, list) else [denials]:
        yield text_at(denial, "tool_name") or text_at(denial)


class Claude(Adapter):
    """@anthropic-ai/claude-code.

    Its settings, in rising order: the user's, the project's, `--settings`, managed ones (code.claude.com, "Settings").
    Managed ones need root, which the process engine has not. Of provider and sign-in no settings count at all when
    the program that starts it says that it manages them ("Environment variables").
    """

    transcript = _Events
    exit_codes: Mapping[int, str] = {1: "Claude Code reported an error"}
    tools = ("Bash", "Edit", "Write")
    settings_files = (".claude/settings.json", ".claude/settings.local.json", ".mcp.json")

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence no permission prompts."""
        argv = ["claude", "--print", "--output-format=stream-json", "--verbose", "--dangerously-skip-permissions"]
        argv.append(f"--settings={run.home / _SETTINGS_FILE}")
        environment = {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }
        environment |= {name: chosen for name, alias in _MODELS.items() if (chosen := run.model_for(alias))}
        if run.base_url:
            environment |= _route(run, run.base_url)
        if run.model:
            argv.append(f"--model={run.model}")
        settings = json.dumps(_settings({**run.environment, **environment}))
        return Invocation(tuple(argv), environment, run.task_file, home_files={_SETTINGS_FILE: settings})
