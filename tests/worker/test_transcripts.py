"""The readers of every CLI's output: the verdict first, and whatever else a line holds, no error."""

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.reasons import ReasonCode
from tests.worker.test_adapters import AIDER, CLAUDE, CODEX, COPILOT, GEMINI, GROK, OPENCODE, RECORDED, lines, read
from worker.adapters.transcript import Message, Verdict, tool_output
from worker.agent_output import AgentOutput
from worker.lines import MAX_EVENT_BYTES, EventSplitter
from worker.model_proxy.calls import ModelCalls
from worker.provider_errors import cause_of

Event = dict[str, object]
Case = tuple[list[Event], bool, ReasonCode | None]
SUCCESS: Event = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": "done"}
DONE: Event = {"type": "turn.completed", "usage": None}
STARTED: Event = {"type": "turn.started"}


def claude(**fields: object) -> Event:
    return {"type": "result", "subtype": "success", "is_error": False, **fields}


def said(text: str, model: str) -> Event:
    return {"type": "assistant", "message": {"model": model, "content": [{"type": "text", "text": text}]}}


def copilot_error(message: str) -> Event:
    return {"type": "session.error", "data": {"errorType": "query", "message": message}}


def gemini_error(message: str) -> Event:
    return {"type": "error", "severity": "error", "message": message}


CASES: dict[Agent, dict[str, Case]] = {
    Agent.CLAUDE: {
        "error without usage": ([claude(subtype="error_during_execution", is_error=True)], False, None),
        "turn limit that is no error": ([claude(subtype="error_max_turns")], False, ReasonCode.TURN_LIMIT),
        "unknown subtype": ([claude(subtype="paused")], False, None),
        "no subtype": ([{"type": "result"}], False, None),
        "error of odd type": ([claude(is_error="yes")], False, None),
        "overloaded": (
            [claude(is_error=True, result="API Error: 529 Overloaded", api_error_status=529)],
            False,
            None,
        ),
        "ends on a tool call": ([claude(result="", stop_reason="tool_use")], False, ReasonCode.NO_RESULT),
        "cut response": ([claude(stop_reason="max_tokens")], False, ReasonCode.NO_RESULT),
        "declined": ([claude(stop_reason="refusal")], False, ReasonCode.MODEL_REQUEST_REFUSED),
        "stopped by a hook": ([claude(terminal_reason="hook_stopped")], False, ReasonCode.AGENT_REPORTED_FAILURE),
        "full context": (
            [claude(is_error=True, terminal_reason="prompt_too_long")],
            False,
            ReasonCode.CONTEXT_EXCEEDED,
        ),
        "whole": ([claude(stop_reason="end_turn", terminal_reason="completed", usage=3)], True, None),
        "error, then success": ([claude(is_error=True), SUCCESS], True, None),
        "success, then error": ([SUCCESS, claude(subtype="error_during_execution", is_error=True)], False, None),
        "error that is no error": ([claude(result="API Error: 500 Internal server error")], False, None),
        "an error that the CLI put in place of a response": (
            [said("API Error: 529 Overloaded", "<synthetic>"), claude(result="API Error: 529 Overloaded")],
            False,
            None,
        ),
        "a model that quotes an error": (
            [said("API Error: 529 Overloaded", "claude-x"), claude(result="API Error: 529 Overloaded")],
            True,
            None,
        ),
        "an error after words of a subagent's model": (
            [
                said("API Error: 529 Overloaded", "<synthetic>"),
                {**said("done", "claude-x"), "parent_tool_use_id": "toolu_1"},
                claude(result="API Error: 529 Overloaded"),
            ],
            False,
            None,
        ),
        "words about API errors": ([claude(result="API Error pages have a test now.")], True, None),
        "error without words": ([claude(is_error=True, result="")], False, None),
        "errors as objects": (
            [claude(subtype="error_during_execution", errors=[{"message": "529 overloaded"}])],
            False,
            None,
        ),
        "error of the model": ([claude(terminal_reason="model_error")], False, None),
        "a subagent's failure after the result": (
            [SUCCESS, claude(is_error=True, parent_tool_use_id="toolu_1")],
            True,
            None,
        ),
        "no turn": ([claude(num_turns=0)], False, ReasonCode.NO_MODEL_CALL),
        "newer fields": ([claude(usage={}, modelUsage={"a": []}, new=[{}])], True, None),
    },
    Agent.CODEX: {
        "error with exit code 0": ([{"type": "error", "message": "exceeds the context window"}], False, None),
        "error, then success": ([{"type": "error", "message": "Reconnecting... 1/5"}, STARTED, DONE], True, None),
        "failed, then success": ([{"type": "turn.failed", "error": {"message": "rate limit"}}, DONE], True, None),
        "failed without a message": ([{"type": "turn.failed", "error": None}], False, None),
        "success, then error": ([DONE, {"type": "error", "message": "broken"}], False, None),
        "usage is null": ([DONE], True, None),
        "error as text": ([{"type": "turn.failed", "error": "usage limit"}], False, None),
        "error, then an unfinished turn": ([{"type": "error", "message": "x"}, STARTED], False, None),
    },
    Agent.GEMINI: {
        "error": ([{"type": "result", "status": "error", "error": {"message": "no"}}], False, None),
        "error without its error": ([gemini_error("empty"), {"type": "result", "status": "error"}], False, None),
        "turn limit with status success": (
            [gemini_error("Maximum session turns exceeded"), {"type": "result", "status": "success"}],
            False,
            ReasonCode.TURN_LIMIT,
        ),
        "error, then success": ([gemini_error("broken"), {"type": "result", "status": "success"}], False, None),
        "a loop, out of which it came": (
            [gemini_error("Loop detected, stopping execution"), GEMINI[2], GEMINI[4], GEMINI[-1]],
            True,
            None,
        ),
        "warning, then success": (
            [{"type": "error", "severity": "warning", "message": "x"}, {"type": "result", "status": "success"}],
            True,
            None,
        ),
        "no status": ([{"type": "result"}], False, None),
        "turn limit of the settings": (
            [{"type": "result", "status": "error", "error": {"type": "FatalTurnLimitedError", "message": "x"}}],
            False,
            ReasonCode.TURN_LIMIT,
        ),
        "error as text": ([{"type": "result", "status": "error", "error": "no"}], False, None),
    },
    Agent.GROK: {
        "call failed": (
            [{"type": "error", "code": -32603, "message": "Internal error", "data": {"message": "status 404"}}],
            False,
            None,
        ),
        "error without words": ([{"type": "error"}], False, None),
        "turns": ([{"type": "result", "stopReason": "max_turn_requests"}], False, ReasonCode.TURN_LIMIT),
        "cut": ([{"type": "result", "stopReason": "max_tokens"}], False, ReasonCode.NO_RESULT),
        "declined": ([{"type": "result", "stopReason": "refusal"}], False, ReasonCode.MODEL_REQUEST_REFUSED),
        "cancelled": ([{"type": "result", "stopReason": "cancelled"}], False, None),
        "a reason of later versions": ([{"type": "result", "stopReason": "paused"}], False, None),
        "no reason": ([{"type": "result"}], False, None),
    },
    Agent.OPENCODE: {
        "error": ([{"type": "error", "error": {"name": "APIError", "data": {"message": "no"}}}], False, None),
        "error without words": ([{"type": "error", "error": {"name": "UnknownError", "data": {}}}], False, None),
        "error as text": ([{"type": "error", "error": "x"}], False, None),
        "success, then error": ([OPENCODE[-1], {"type": "error", "error": {"name": "x"}}], False, None),
        "cut short": ([{"type": "step_finish", "part": {"reason": "length"}}], False, None),
        "error, then an unfinished step": ([{"type": "error", "error": {"name": "x"}}, OPENCODE[0]], False, None),
    },
    Agent.COPILOT: {
        "error": ([copilot_error("no"), {"type": "result", "exitCode": 1}], False, None),
        "error without its event": ([{"type": "result", "exitCode": 1}], False, None),
        "error without words": ([copilot_error(""), {"type": "result", "exitCode": 1}], False, None),
        "error, then success": ([copilot_error("no"), COPILOT[-1]], True, None),
        "no exit code": ([{"type": "result"}], False, None),
        "exit code as text": ([{"type": "result", "exitCode": "0"}], False, None),
    },
}


@pytest.mark.parametrize(("agent", "name"), [(agent, name) for agent in CASES for name in CASES[agent]])
def test_the_last_final_event_is_the_verdict(agent: Agent, name: str) -> None:
    events, success, code = CASES[agent][name]
    verdict = read(agent, lines(events))[1].verdict
    assert verdict is not None
    assert (verdict.success, verdict.code) == (success, code)
    assert success or verdict.message


@pytest.mark.parametrize(
    ("agent", "events"),
    [
        (Agent.CLAUDE, CLAUDE[:-1]),
        (Agent.CODEX, CODEX[:-1]),
        (Agent.GEMINI, GEMINI[:-1]),
        (Agent.GROK, GROK[:-1]),
        (Agent.GROK, [{"type": "refused", "title": "shell"}]),
        (Agent.OPENCODE, OPENCODE[:-1]),
        (Agent.OPENCODE, OPENCODE[:3]),
        (Agent.COPILOT, COPILOT[:-1]),
        (Agent.CLAUDE, [claude(parent_tool_use_id="toolu_1")]),
        (Agent.CLAUDE, [SUCCESS, {"type": "system", "subtype": "init"}]),
        (Agent.CODEX, [DONE, STARTED]),
    ],
)
def test_before_its_final_event_a_run_has_no_verdict(agent: Agent, events: list[Event]) -> None:
    assert read(agent, lines(events))[1].verdict is None


AIDER_CASES = {
    "no response": ("Aider v0.86.2\nRepo-map: using 4096 tokens\n", None),
    "a failed call": (f"{AIDER}\nlitellm.BadRequestError: no such model", "litellm.BadRequestError: no such model"),
    "a failed call, then a response": (f"litellm.Timeout: x\nRetrying in 0.2 seconds...\n{AIDER}", ""),
    "an empty response": (
        "Empty response received from LLM. Check your provider account?\nTokens: 2.1k sent, 0 received.",
        "Empty response received from LLM. Check your provider account?",
    ),
    "edits that do not apply": (
        "x\nTokens: 2.1k sent, 300 received.\nThe LLM did not conform to the edit format.",
        "The LLM did not conform to the edit format.",
    ),
    "edits that apply at last": (
        "Tokens: 2.1k sent, 300 received.\nThe LLM did not conform to the edit format.\n"
        "y\nTokens: 2.1k sent, 300 received.\nApplied edit to a.py",
        "",
    ),
    "edits that are given up": (
        "Tokens: 2.1k sent, 300 received.\nThe LLM did not conform to the edit format.\n"
        "https://aider.chat/docs/troubleshooting/edit-errors.html\ny\nTokens: 2.1k sent, 300 received.",
        "The LLM did not conform to the edit format.",
    ),
    "edits that raise": (
        "Tokens: 2.1k sent, 300 received.\nException while updating files:\nno such folder",
        "Exception while updating files:",
    ),
    "a file that cannot be written": (
        f"{AIDER}\nUnable to write file /w/a: [Errno 13] Permission denied",
        "Unable to write file /w/a: [Errno 13] Permission denied",
    ),
    "reflections": (f"{AIDER}\nOnly 3 reflections allowed, stopping.", "Only 3 reflections allowed, stopping."),
    "full context": (f"{AIDER}\nModel deepseek/x has hit a token limit!", "Model deepseek/x has hit a token limit!"),
    "words of the model that look like an error": ("litellm.Error is a class\nTokens: 1.0k sent, 3 received.", ""),
    "a later response that quotes Aider": (
        "x\nTokens: 2.1k sent, 300 received.\nI added these files to the chat: a\n"
        "The LLM did not conform to the edit format.\nis what it prints.\n"
        "Exception while updating files:\nas well\nTokens: 2.1k sent, 300 received.",
        "",
    ),
    "a response that quotes Aider after edits that do not apply": (
        "Tokens: 2.1k sent, 300 received.\nException while updating files:\nno such folder\n"
        "Traceback (most recent call last):\nException while updating files:\nas I see\n"
        "Tokens: 2.1k sent, 300 received.",
        "Exception while updating files:",
    ),
    "words of the model that quote Aider": (
        "The LLM did not conform to the edit format.\nmeans this.\nTokens: 1.0k sent, 3 received.",
        "",
    ),
}


@pytest.mark.parametrize("name", AIDER_CASES)
def test_aiders_text_says_whether_the_last_response_and_its_edits_came_through(name: str) -> None:
    text, failure = AIDER_CASES[name]
    verdict = read(Agent.AIDER, text.splitlines())[1].verdict
    expected = None if failure is None else Verdict(success=not failure, message=failure)
    assert verdict == expected


def test_aiders_words_in_a_response_refuse_no_edit() -> None:
    skipped = "Skipping edits to a that matches gitignore spec."
    assert read(Agent.AIDER, [skipped, *AIDER.splitlines()])[1].refused_tools == []
    assert read(Agent.AIDER, [*AIDER.splitlines(), skipped])[1].refused_tools == ["edit of a"]
    later = [*AIDER.splitlines(), skipped, "is what Aider prints.", *AIDER.splitlines()]
    assert read(Agent.AIDER, later)[1].refused_tools == []
    failing = ["Exception while updating files:", "Traceback (most recent call last):", *AIDER.splitlines()]
    assert read(Agent.AIDER, [*AIDER.splitlines(), skipped, *failing])[1].refused_tools == ["edit of a"]


def test_gemini_is_refused_a_tool_that_nobody_can_confirm() -> None:
    words = 'Tool execution for "Shell" requires user confirmation, which is not supported in non-interactive mode.'
    used: dict[str, object] = {
        "type": "tool_use",
        "tool_name": "run_shell_command",
        "tool_id": "1",
        "parameters": {"command": "ls"},
    }
    error = {"type": "unhandled_exception", "message": words}
    refused: dict[str, object] = {
        "type": "tool_result",
        "tool_id": "1",
        "status": "error",
        "output": words,
        "error": error,
    }
    assert read(Agent.GEMINI, lines([used, refused, GEMINI[-1]]))[1].refused_tools == ["run_shell_command"]


def test_refused_tools_are_named_once() -> None:
    denials = [{"tool_name": "Bash"}, {"tool_name": "Write"}, {"tool_name": "Bash"}, {"other": 1}, "Edit"]
    assert read(Agent.CLAUDE, lines([claude(permission_denials=denials)]))[1].refused_tools == [
        "Bash",
        "Write",
        "a tool",
        "Edit",
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "system", "subtype": "permission_denied", "tool_name": "Bash", "tool_use_id": "1"},
        claude(parent_tool_use_id="toolu_1", permission_denials=[{"tool_name": "Bash"}]),
    ],
)
def test_a_refusal_counts_that_the_result_of_claude_does_not_repeat(event: Event) -> None:
    transcript = read(Agent.CLAUDE, lines([event, SUCCESS]))[1]
    assert (transcript.verdict, transcript.refused_tools) == (Verdict(success=True), ["Bash"])


@pytest.mark.parametrize(
    ("denials", "refused"),
    [(None, []), ([], []), ({}, []), ({"tool_name": "Bash"}, ["Bash"]), ([["Bash"]], ["a tool"]), (3, ["a tool"])],
)
def test_a_permission_denial_of_any_shape_is_a_refused_tool(denials: object, refused: list[str]) -> None:
    assert read(Agent.CLAUDE, lines([claude(permission_denials=denials)]))[1].refused_tools == refused


@pytest.mark.parametrize(
    "error",
    [
        "The user rejected permission to use this specific tool call.",
        "The user has specified a rule which prevents you from using this specific tool call. Here are some of",
    ],
)
def test_a_tool_that_opencode_or_copilot_denies_is_refused(error: str) -> None:
    state = {"status": "error", "input": {}, "error": error}
    opencode: Event = {"type": "tool_use", "part": {"tool": "bash", "state": state}}
    assert read(Agent.OPENCODE, lines([opencode, *OPENCODE]))[1].refused_tools == ["bash"]
    denied: Event = {"toolCallId": "1", "success": False, "error": {"code": "denied", "message": error}}
    copilot: list[Event] = [COPILOT[2], {"type": "tool.execution_complete", "data": denied}, COPILOT[-1]]
    assert read(Agent.COPILOT, lines(copilot))[1].refused_tools == ["bash"]


def test_the_final_message_of_copilot_is_not_a_subagents() -> None:
    inner: Event = {"type": "assistant.message", "data": {"content": "Found it.", "parentToolCallId": "1"}}
    assert read(Agent.COPILOT, lines([*COPILOT[:-1], inner, COPILOT[-1]]))[1].final_message == "The file is written."


def test_an_edit_that_aider_skips_for_an_ignore_file_is_refused() -> None:
    skipped = ["Skipping edits to .env that matches gitignore spec.", "Skipping x.py that matches aiderignore spec."]
    transcript = read(Agent.AIDER, [*AIDER.splitlines(), *skipped])[1]
    assert transcript.refused_tools == ["edit of .env", "edit of x.py"]


def test_a_patch_that_codex_declines_is_a_refused_tool() -> None:
    item = {"id": "2", "type": "file_change", "status": "declined", "changes": []}
    assert read(Agent.CODEX, lines([{"type": "item.completed", "item": item}, DONE]))[1].refused_tools == [
        "apply_patch"
    ]


@pytest.mark.parametrize(
    "printed",
    [
        "\ufeff{}\n",
        "{}\r\n",
        "\x1b[0m\x1b[?25h{}\n",
        "{}\x1b[0m\x1b[?25h\n",
        "\x00\x00{}\n",
        "20%\r100%\r{}\n",
        '{{"type": "other"}}{}\n',
        '{{"type": "other"}} {} done in 2 s\n',
        "....{}\n",
        "Warning: settings {{a}} {{}} are old {}\n",
        '{{"type": "assistant", "message": "cut in a te{}\n',
        '{{"type": "assistant", "message": {{"role": "x"}}, "id": 3{}\n',
        "\x1b[{}\n",
        "\x1b]0;a title without an end{}\n",
        "\x1b]0;title\x1b\\\x1b(B\x1b7{}\n",
        'a\ttab {{"type": "other", "text": "a\ttab"}}\t{}\n',
    ],
)
@pytest.mark.parametrize("agent", RECORDED)
def test_a_final_event_counts_with_whatever_else_is_on_its_line(agent: Agent, printed: str) -> None:
    event = RECORDED[agent][-1]
    output = AgentOutput(read(agent, [])[1], lambda _message: None)
    output.stdout(printed.format(json.dumps(event)).encode())
    output.close()
    assert output.transcript.verdict == Verdict(success=True)


@pytest.mark.parametrize("agent", [Agent.CLAUDE, Agent.CODEX, Agent.GEMINI])
def test_an_object_inside_an_event_that_was_cut_is_no_event(agent: Agent) -> None:
    event = json.dumps({Agent.CLAUDE: CLAUDE, Agent.CODEX: CODEX, Agent.GEMINI: GEMINI}[agent][-1])
    whole = f'{{"type": "tool", "input": {event}, "n": 1}}'
    for length in range(len(whole)):
        assert read(agent, [whole[:length]])[1].verdict is None


@pytest.mark.parametrize("text", ["{" * 500_000, '{"a": ' * 900, '{"a" ' * 500_000, '{"type": "x"' * 100_000])
def test_a_line_of_many_braces_costs_little(text: str) -> None:
    begin = time.process_time()
    read(Agent.CLAUDE, [text])
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("after", ["", "  ", " done {", '{"type": "syst', "\r"])
def test_a_final_event_without_a_newline_counts_when_nothing_follows_it(after: str) -> None:
    output = AgentOutput(read(Agent.CLAUDE, [])[1], lambda _: None)
    line = f". {json.dumps(SUCCESS)}{after}".encode()
    output.stdout(line[:50])
    output.stdout_pauses()
    assert output.finished_at is None
    output.stdout(line[50:])
    output.stdout_pauses()
    assert output.finished_at is not None
    output.stdout(b'em", "subtype": "init"}\n')
    output.close()
    assert (output.transcript.verdict is None) is after.startswith("{")


def test_aiders_lines_count_without_their_colours() -> None:
    output = AgentOutput(read(Agent.AIDER, [])[1], lambda _message: None)
    output.stdout(b"\x1b[31mlitellm.APIConnectionError: x\x1b[0m\r\n")
    assert output.transcript.verdict == Verdict(success=False, message="litellm.APIConnectionError: x")


def test_the_last_error_line_is_not_what_follows_the_error() -> None:
    output = AgentOutput(read(Agent.GEMINI, [])[1], lambda _message: None)
    output.stderr(b"Error: rate limit exceeded\n    at call (x.js:1:2) {\n  status: 429\n}\n\nNode.js v24.1.0\n")
    assert output.last_error_line == "Error: rate limit exceeded"


def test_a_command_that_codex_declines_is_a_refused_tool_wherever_it_reports_it() -> None:
    item = {"id": "2", "type": "command_execution", "status": "declined"}
    transcript = read(Agent.CODEX, lines([{"type": "item.completed", "item": item}]))[1]
    assert transcript.refused_tools == ["shell"]
    transcript = read(Agent.CODEX, lines([DONE]))[1]
    router = "2026-11-28T01:25:14Z ERROR codex_core::tools::router: error="
    transcript.read_error("WARNING: proceeding, even though the update was rejected")
    transcript.read_error(f"{router}apply_patch verification failed: no such lines: raise Rejected('rejected')")
    assert transcript.refused_tools == []
    transcript.read_error(
        f"{router}exec_command failed: CreateProcess {{ "
        r"""message: "Rejected(\"`/bin/bash -lc 'touch x.txt'` rejected: policy forbids commands\")" }"""
    )
    assert transcript.refused_tools == ["shell"]


def test_a_failure_is_not_shown_as_a_success() -> None:
    messages, _ = read(Agent.CLAUDE, lines([claude(is_error=True, result="Overloaded", num_turns=1)]))
    assert [message.text for message in messages] == ["error: Overloaded"]


@pytest.mark.parametrize(
    ("agent", "events"),
    [
        (Agent.CLAUDE, [SUCCESS, CLAUDE[1]]),
        (Agent.CODEX, [DONE, STARTED]),
        (Agent.GEMINI, [GEMINI[-1], GEMINI[2]]),
        (Agent.OPENCODE, [OPENCODE[-1], OPENCODE[0]]),
        (Agent.COPILOT, [COPILOT[-1], COPILOT[1]]),
    ],
)
def test_an_agent_that_goes_on_after_a_final_event_is_not_finished(agent: Agent, events: list[Event]) -> None:
    assert read(agent, lines(events[:-1]))[1].finished
    assert not read(agent, lines(events))[1].finished


def test_a_result_is_not_the_last_while_background_tasks_run() -> None:
    task = {"task_id": "t", "task_type": "local_bash", "description": "npm test"}
    begun: Event = {"type": "system", "subtype": "background_tasks_changed", "tasks": [task]}
    ended: Event = {"type": "system", "subtype": "background_tasks_changed", "tasks": []}
    transcript = read(Agent.CLAUDE, lines([begun, SUCCESS]))[1]
    assert (transcript.verdict, transcript.finished) == (Verdict(success=True), False)
    assert [name for name, _ in transcript.running_tools.values()] == ["[background] npm test"]
    transcript = read(Agent.CLAUDE, lines([begun, SUCCESS, ended]))[1]
    assert (transcript.finished, transcript.running_tools) == (True, {})
    assert not read(Agent.CLAUDE, lines([begun, SUCCESS, ended, CLAUDE[0]]))[1].finished


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
AGENTS = st.sampled_from([*RECORDED, Agent.AIDER])


def check(agent: Agent, output: list[str]) -> None:
    """Whatever was read, all that comes of it can be logged and decided on."""
    messages, transcript = read(agent, output)
    for message in messages:
        message.text.encode("utf-8", "replace")
    if transcript.verdict is not None:
        cause_of(transcript.verdict.message)
    assert all(isinstance(tool, str) for tool in transcript.refused_tools)
    assert transcript.final_message is None or isinstance(transcript.final_message, str)


@given(AGENTS, st.lists(JSON, max_size=4))
def test_any_json_value_is_read_without_an_error(agent: Agent, values: list[object]) -> None:
    check(agent, [json.dumps(value) for value in values])


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Agent, list[str]]:
    """A recorded run in which values at any place are replaced, and lines are cut, doubled or in another order."""
    agent = draw(st.sampled_from(list(RECORDED)))
    events = [_mutated(draw, event) for event in draw(st.permutations(RECORDED[agent]))]
    output = [json.dumps(event) for event in events]
    return agent, [line[: draw(st.integers(0, len(line)))] if draw(st.integers(0, 9)) == 0 else line for line in output]


def _mutated(draw: st.DrawFn, value: object) -> object:
    if draw(st.integers(0, 7)) == 0:
        return draw(JSON)
    if isinstance(value, dict):
        return {name: _mutated(draw, each) for name, each in value.items() if draw(st.integers(0, 9))}
    if isinstance(value, list):
        return [_mutated(draw, each) for each in value]
    return value


@settings(max_examples=100)
@given(mutations())
def test_any_mutation_of_a_recorded_run_is_read_without_an_error(case: tuple[Agent, list[str]]) -> None:
    check(*case)


@pytest.mark.parametrize("agent", [*RECORDED, Agent.AIDER])
@pytest.mark.parametrize("depth", [200, 900, 5_000, 200_000])
def test_deeply_nested_events_are_read_without_an_error(agent: Agent, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    check(agent, [f'{{"type": "tool_use", "parameters": {deep}, "content": {deep}}}'])
    block = f'{{"type": "tool_use", "input": {deep}}}'
    check(agent, [f'{{"type": "assistant", "role": "assistant", "message": {{"content": [{block}]}}}}'])


@pytest.mark.parametrize("agent", RECORDED)
def test_a_number_of_any_length_in_a_final_event_changes_nothing(agent: Agent) -> None:
    finals: dict[Agent, Event] = {
        Agent.CLAUDE: SUCCESS,
        Agent.CODEX: DONE,
        Agent.GEMINI: {"type": "result", "status": "success"},
        Agent.GROK: {"type": "result", "stopReason": "end_turn"},
        Agent.OPENCODE: {"type": "step_finish", "part": {"reason": "stop"}},
        Agent.COPILOT: {"type": "result", "exitCode": 0},
    }
    final = json.dumps(finals[agent]).replace("{", f'{{"size": {"9" * 5_000}, ', 1)
    assert read(agent, [final])[1].verdict == Verdict(success=True)


def test_a_long_output_of_a_tool_is_shown_without_its_middle() -> None:
    text = "".join(f"line {number}\n" for number in range(100_000))
    shown = "\n".join(message.text for message in tool_output(text))
    assert shown.startswith("line 0\n")
    assert shown.endswith("line 99999\n")
    assert len(shown) < 50_000
    assert "characters left out]" in shown


@pytest.mark.parametrize("agent", [Agent.CLAUDE, Agent.CODEX, Agent.GEMINI])
def test_a_long_error_and_a_long_name_of_a_tool_are_shortened(agent: Agent) -> None:
    words = "word " * 1_000_000
    events: list[Event] = [
        claude(is_error=True, result=words),
        {"type": "turn.failed", "error": {"message": words}},
        {"type": "result", "status": "error", "error": {"message": words}},
        {"type": "tool_use", "tool_name": words},
    ]
    assert sum(len(message.text) for message in read(agent, lines(events))[0]) < 50_000


def test_encoded_files_in_an_output_are_summarised() -> None:
    [message] = tool_output("before " + "QUJD" * 1_000 + " after")
    assert message == Message("before [encoded data of 4,000 characters left out] after")


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_events_do_not_depend_on_how_the_bytes_arrive(pieces: list[bytes]) -> None:
    def split(chunks: list[bytes]) -> list[str]:
        splitter = EventSplitter()
        return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())

    assert split(pieces) == split([b"".join(pieces)])


def test_a_line_beyond_all_bounds_is_replaced_by_a_note() -> None:
    splitter = EventSplitter()
    piece = b"x" * (1024 * 1024)
    assert not [line for _ in range(MAX_EVENT_BYTES // len(piece) + 1) for line in splitter.feed(piece)]
    assert list(splitter.feed(b"\nnext\n")) == ["[a line of 34,603,008 bytes left out]", "next"]


def output_of(agent: Agent, events: list[Event]) -> Iterator[AgentOutput]:
    transcript = read(agent, [])[1]
    output = AgentOutput(transcript, lambda _: None)
    for line in lines(events):
        output.stdout(f"{line}\n".encode())
        yield output


def test_a_tool_that_runs_is_named_with_its_time() -> None:
    *_, output = output_of(
        Agent.CLAUDE,
        [
            {
                "type": "assistant",
                "message": {
                    "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "npm test"}}]
                },
            }
        ],
    )
    assert output.waiting_for() == 'It was running [Bash] {"command": "npm test"}, 0 s so far'
    output.stdout(
        json.dumps({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t"}]}}).encode()
        + b"\n"
    )
    assert output.waiting_for() == "Nothing that it named was running; its last output was 0 s before"


def test_a_model_call_that_is_open_or_is_to_be_repeated_is_named() -> None:
    calls = ModelCalls()
    output = AgentOutput(read(Agent.CLAUDE, [])[1], lambda _: None, calls)
    with calls.open() as call:
        assert output.waiting_for() == "It was waiting for a response of its model, 0 s so far"
        call.begin(529, "application/json")
    assert output.waiting_for() == "It was waiting to call its model again"


def test_the_final_event_is_dated_when_it_arrives_and_taken_back_when_the_agent_goes_on() -> None:
    outputs = output_of(Agent.CLAUDE, [SUCCESS, claude(), CLAUDE[1]])
    first = next(outputs).finished_at
    assert first is not None
    assert next(outputs).finished_at == first
    assert next(outputs).finished_at is None
