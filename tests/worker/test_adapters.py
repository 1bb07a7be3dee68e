"""What the adapters read from their CLIs' output; the lines are those that the pinned versions print."""

import json
import tomllib
from pathlib import Path

import pytest

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.providers import PROVIDERS
from worker.adapters import ADAPTERS
from worker.adapters.base import Run
from worker.adapters.transcript import JsonTranscript, Message, Transcript, Verdict

PINS = Path(__file__).parents[2] / "container" / "worker" / "agents"
RUN = Run(Path("/run/task"), Path("/run/home"), "a-model", "http://127.0.0.1:9")
AIDER = """Warning: Input is not a terminal (fd=0).
Aider v0.86.2
Model: deepseek/deepseek-flash with diff edit format, prompt cache, infinite output
Git repo: .git with 1 files
Repo-map: using 4096 tokens, auto refresh

The file is written.

Tokens: 2.3k sent, 1.1k cache hit, 27 received. Cost: $0.00033 message, $0.00033 session.
Applied edit to made.txt"""
CLAUDE: list[dict[str, object]] = [
    {"type": "system", "subtype": "init", "claude_code_version": "2.1.332", "model": "claude-opus-5-5", "tools": []},
    {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}]}},
    {"type": "user", "message": {"content": [{"type": "tool_result", "content": "a\nb", "is_error": False}]}},
    {"type": "assistant", "message": {"content": [{"type": "text", "text": "The file is written."}]}},
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "num_turns": 2,
        "result": "The file is written.",
        "usage": {"input_tokens": 2000, "cache_read_input_tokens": 400, "output_tokens": 68},
    },
]
CODEX: list[dict[str, object]] = [
    {"type": "thread.started", "thread_id": "x"},
    {"type": "item.started", "item": {"id": "1", "type": "command_execution", "command": "ls"}},
    {"type": "item.completed", "item": {"id": "1", "type": "command_execution", "aggregated_output": "a\nb\n"}},
    {"type": "item.completed", "item": {"id": "2", "type": "agent_message", "text": "The file is written."}},
    {"type": "turn.completed", "usage": {"input_tokens": 2400, "cached_input_tokens": 400, "output_tokens": 68}},
]
GEMINI: list[dict[str, object]] = [
    {"type": "init", "model": "gemini-3.8-flash"},
    {"type": "message", "role": "user", "content": "the task"},
    {"type": "tool_use", "tool_id": "1", "tool_name": "run_shell_command", "parameters": {"command": "ls"}},
    {"type": "tool_result", "tool_id": "1", "status": "success", "output": "a\nb"},
    {"type": "message", "role": "assistant", "content": "The file ", "delta": True},
    {"type": "message", "role": "assistant", "content": "is written.", "delta": True},
    {
        "type": "result",
        "status": "success",
        "stats": {"input_tokens": 2400, "output_tokens": 68, "cached": 400, "duration_ms": 3},
    },
]
GROK: list[dict[str, object]] = [
    {"type": "session", "id": "s"},
    {"type": "update", "sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "I list "}},
    {"type": "update", "sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "the files."}},
    {
        "type": "update",
        "sessionUpdate": "tool_call",
        "toolCallId": "c",
        "title": "run_terminal_command",
        "rawInput": {"command": "ls", "description": "List"},
    },
    {
        "type": "update",
        "sessionUpdate": "tool_call_update",
        "toolCallId": "c",
        "kind": "execute",
        "title": "Execute `ls`",
        "content": [{"type": "content", "content": {"type": "text", "text": "List"}}],
        "rawInput": {"variant": "Bash", "command": "ls"},
    },
    {
        "type": "update",
        "sessionUpdate": "tool_call_update",
        "toolCallId": "c",
        "status": "completed",
        "content": [{"type": "content", "content": {"type": "text", "text": ""}}],
        "rawOutput": {"type": "Bash", "output": [97], "output_for_prompt": "a\nb"},
    },
    {"type": "update", "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "The file "}},
    {"type": "update", "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "is written."}},
    {"type": "result", "stopReason": "end_turn", "_meta": {"totalTokens": 1234}},
]
OPENCODE: list[dict[str, object]] = [
    {"type": "step_start", "part": {"type": "step-start"}},
    {
        "type": "tool_use",
        "part": {
            "tool": "bash",
            "state": {"status": "completed", "input": {"command": "ls"}, "output": "a\nb"},
        },
    },
    {"type": "step_finish", "part": {"type": "step-finish", "reason": "tool-calls", "tokens": {"input": 1000}}},
    {"type": "step_start", "part": {"type": "step-start"}},
    {"type": "text", "part": {"type": "text", "text": "The file is written."}},
    {"type": "step_finish", "part": {"type": "step-finish", "reason": "stop", "tokens": {"input": 1000}}},
]
COPILOT: list[dict[str, object]] = [
    {"type": "session.tools_updated", "data": {"model": "gpt-6.1-sol"}},
    {"type": "assistant.turn_start", "data": {"turnId": "0"}},
    {
        "type": "tool.execution_start",
        "data": {"toolCallId": "1", "toolName": "bash", "arguments": {"command": "ls"}},
    },
    {"type": "tool.execution_complete", "data": {"toolCallId": "1", "success": True, "result": {"content": "a\nb"}}},
    {"type": "assistant.message", "data": {"content": "The file is written.", "toolRequests": []}},
    {"type": "result", "exitCode": 0, "usage": {"premiumRequests": 0}},
]


def lines(events: list[dict[str, object]]) -> list[str]:
    return [json.dumps(event) for event in events]


RECORDED = {
    Agent.CLAUDE: CLAUDE,
    Agent.CODEX: CODEX,
    Agent.GEMINI: GEMINI,
    Agent.GROK: GROK,
    Agent.OPENCODE: OPENCODE,
    Agent.COPILOT: COPILOT,
}
"""The events of a run."""
OUTPUT = {agent: lines(events) for agent, events in RECORDED.items()} | {Agent.AIDER: AIDER.splitlines()}
EVENTS = [agent for agent in Agent if isinstance(ADAPTERS[agent].transcript(), JsonTranscript)]
"""The agents that print JSON events."""


def read(agent: Agent, output: list[str]) -> tuple[list[Message], Transcript]:
    transcript = ADAPTERS[agent].transcript()
    return [message for line in output for message in transcript.read(line)], transcript


@pytest.mark.parametrize("agent", OUTPUT)
def test_a_run_is_shown_with_progress_the_last_message_and_its_success(agent: Agent) -> None:
    messages, transcript = read(agent, OUTPUT[agent])
    text = "\n".join(one.text for one in messages)
    assert (transcript.final_message, transcript.refused_tools) == ("The file is written.", [])
    assert transcript.verdict == Verdict(success=True)
    assert transcript.running_tools == {}
    assert "The file is written." in text
    assert "The file is written." in [one.text for one in messages if one.progress]
    if agent is not Agent.AIDER:
        assert transcript.finished
        assert "ls" in text
        assert "a\nb" in text
        assert '{"type"' not in text


@pytest.mark.parametrize("agent", EVENTS)
@pytest.mark.parametrize(
    "line", ["plain text", "{", '{"type": 3}', '{"type": "item.completed"}', '{"role": "assistant"}', "[1]", '{"a": 1}']
)
def test_a_line_that_is_not_of_the_known_form_is_kept_or_ignored_and_never_an_error(agent: Agent, line: str) -> None:
    messages, transcript = read(agent, [line])
    assert [one.text for one in messages] in ([line], [])
    assert transcript.verdict is None or not transcript.verdict.success


@pytest.mark.parametrize("agent", EVENTS)
def test_plain_text_between_events_is_kept(agent: Agent) -> None:
    messages, _ = read(agent, ["a warning", OUTPUT[agent][-1]])
    assert messages[0] == Message("a warning")


@pytest.mark.parametrize("agent", Agent)
def test_the_catalogue_and_the_adapters_agree(agent: Agent) -> None:
    entry, adapter = CATALOGUE[agent], ADAPTERS[agent]
    invocation = adapter.invocation(RUN)
    given = " ".join([*invocation.argv, *invocation.environment.values(), *invocation.home_files.values()])
    if entry.provider is None:
        assert entry.token_variables == ()
    else:
        assert entry.provider in PROVIDERS
        assert entry.token_variables
        assert "a-model" in given
        assert ("http://127.0.0.1:9" in given) is entry.takes_base_url
        assert not set(invocation.environment) & set(entry.token_variables)


@pytest.mark.parametrize("agent", [agent for agent in Agent if CATALOGUE[agent].provider])
def test_an_agents_program_is_pinned_to_one_version(agent: Agent) -> None:
    pin = tomllib.loads((PINS / "versions.toml").read_text())[agent]
    assert set(pin) in ({"npm", "version"}, {"pypi", "version"})
    assert pin["version"][0].isdigit()


@pytest.mark.parametrize("agent", Agent)
def test_without_model_and_base_url_the_clis_own_defaults_hold(agent: Agent) -> None:
    invocation = ADAPTERS[agent].invocation(Run(Path("/run/task"), Path("/run/home")))
    given = " ".join([*invocation.argv, *invocation.environment.values(), *invocation.home_files.values()])
    assert "None" not in given
    assert "--model=" not in given
