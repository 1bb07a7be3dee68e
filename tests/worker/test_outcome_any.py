"""Whatever a CLI prints, in whatever pieces, and however its model calls went: the outcome is what the contract says.

The steps of a run are drawn, each is written as the CLI writes it, and `expected` says from the steps alone how such a
run ends.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Status
from outpost.domain.reasons import ReasonCode
from tests.worker.test_adapters import AIDER, CLAUDE, CODEX, COPILOT, EVENTS, GEMINI, GROK, OPENCODE, RECORDED
from tests.worker.test_outcome_walk import CHUNK, NOISE, decided_on, record_of
from tests.worker.test_transcripts import JSON
from worker.adapters import ADAPTERS
from worker.agent_output import AgentOutput

Event = dict[str, object]
Lines = tuple[object, ...]
"""Events, or lines of text."""


class Step(NamedTuple):
    """What happens in a run, and what the CLI prints of it."""

    kind: str
    """`good`, `bad` and `turn` (another one began) bear on the verdict; `refused` a tool; `other` says nothing."""
    printed: Lines = ()
    errors: tuple[str, ...] = ()
    """Lines of standard error."""
    code: ReasonCode = ReasonCode.AGENT_REPORTED_FAILURE
    """Of a `bad` one: what it means where every model call succeeded."""


def claude(**fields: object) -> Event:
    return {"type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "done", **fields}


def tool(**state: object) -> Event:
    return {"type": "tool_use", "part": {"tool": "bash", "state": {"status": "error", "input": {}, **state}}}


def item(**fields: object) -> Event:
    return {"type": "item.completed", "item": {"id": "7", **fields}}


def update(**fields: object) -> Event:
    return {"type": "update", "sessionUpdate": "tool_call_update", "toolCallId": "9", **fields}


def copilot(kind: str, **data: object) -> Event:
    return {"type": kind, "data": data}


def gemini(**fields: object) -> Event:
    return {"type": "tool_result", "tool_id": "1", "status": "error", **fields}


def bad(*printed: object, code: ReasonCode = ReasonCode.AGENT_REPORTED_FAILURE) -> Step:
    return Step("bad", printed, code=code)


def refused(*printed: object, errors: tuple[str, ...] = ()) -> Step:
    return Step("refused", printed, errors)


LIMIT, CUT = ReasonCode.TURN_LIMIT, ReasonCode.NO_RESULT
REJECTED = 'CreateProcess { message: "Rejected(\\"`touch x` rejected: policy forbids it\\")" }'
CONFIRM = 'Tool execution for "Shell" requires user confirmation, which is not supported in non-interactive mode.'
RULE = "The user has specified a rule which prevents you from using this specific tool call. Here are some of"
STEPS: dict[Agent, list[Step]] = {
    Agent.CLAUDE: [
        Step("good", (CLAUDE[-1],)),
        Step("good", (claude(usage=None, permission_denials=[], errors=[], stop_reason="end_turn"),)),
        bad(claude(subtype="error_during_execution", errors=[None, 3])),
        bad(claude(is_error=True, result="it broke")),
        bad(claude(subtype=None)),
        bad(claude(subtype="error_max_turns"), code=LIMIT),
        bad(claude(stop_reason="max_tokens"), code=CUT),
        bad(claude(num_turns=0), code=ReasonCode.NO_MODEL_CALL),
        Step("turn", (CLAUDE[0],)),
        refused({"type": "system", "subtype": "permission_denied", "tool_name": "Bash", "tool_use_id": "1"}),
        refused(claude(parent_tool_use_id="t", permission_denials=[{"tool_name": "Bash"}])),
        Step("other", (claude(parent_tool_use_id="t", is_error=True),)),
    ],
    Agent.CODEX: [
        Step("good", (CODEX[-1],)),
        Step("good", ({"type": "turn.completed"},)),
        bad({"type": "turn.failed", "error": {"message": "it broke"}}),
        bad({"type": "turn.failed", "error": 7}),
        bad({"type": "error", "message": "it broke"}),
        Step("turn", ({"type": "turn.started"},)),
        refused(item(type="command_execution", status="declined")),
        refused(item(type="file_change", status="declined", changes=[])),
        refused(
            item(type="mcp_tool_call", tool="x", status="failed", error={"message": "user rejected MCP tool call"})
        ),
        refused(
            errors=(f"2026-11-28T01:25:14Z ERROR codex_core::tools::router: error=exec_command failed: {REJECTED}",)
        ),
        Step("other", (item(type="command_execution", status="failed", aggregated_output="Permission denied"),)),
    ],
    Agent.GEMINI: [
        Step("good", (GEMINI[-1],)),
        Step("good", ({"type": "result", "status": "success", "stats": []},)),
        bad({"type": "result", "status": "error", "error": {"message": "it broke"}}),
        bad({"type": "result"}),
        bad({"type": "result", "status": "error", "error": {"type": "FatalTurnLimitedError"}}, code=LIMIT),
        refused(gemini(error={"type": "policy_violation", "message": "Tool execution denied by policy."})),
        refused(gemini(error={"type": "unhandled_exception", "message": CONFIRM})),
        Step("other", (gemini(error={"type": "file_not_found", "message": "permission denied by policy"}),)),
        Step("other", ({"type": "error", "severity": "warning", "message": "no rate"},)),
    ],
    Agent.GROK: [
        Step("good", (GROK[-1],)),
        bad({"type": "error", "code": -32603, "message": "Internal error", "data": {"message": "it broke"}}),
        bad({"type": "error"}),
        bad({"type": "result", "stopReason": 3}),
        bad({"type": "result", "stopReason": "max_turn_requests"}, code=LIMIT),
        bad({"type": "result", "stopReason": "max_tokens"}, code=CUT),
        refused({"type": "refused", "toolCallId": "9", "title": "shell"}),
        refused(update(status="failed", rawOutput={"output": "Tool `shell` was not executed: denied by a rule"})),
        Step("other", (update(status="failed", rawOutput={"output": "cat: x: Permission denied"}),)),
    ],
    Agent.OPENCODE: [
        Step("good", (OPENCODE[-1],)),
        bad({"type": "error", "error": {"name": "APIError", "data": {"message": "it broke"}}}),
        bad({"type": "error"}),
        bad({"type": "step_finish", "part": {"reason": "content-filter"}}),
        Step("turn", (OPENCODE[0],)),
        Step("turn", ({"type": "step_finish", "part": {"reason": "tool-calls"}},)),
        Step("turn", ({"type": "step_finish", "part": 3},)),
        refused(tool(error="The user rejected permission to use this specific tool call.")),
        refused(tool(error=RULE)),
        Step("other", (tool(error="EACCES: permission denied"),)),
    ],
    Agent.COPILOT: [
        Step("good", (COPILOT[-1],)),
        bad(copilot("session.error", message="it broke"), {"type": "result", "exitCode": 1}),
        bad(copilot("session.error", message=[])),
        bad({"type": "result", "exitCode": None}),
        Step("turn", (COPILOT[1],)),
        refused(copilot("tool.execution_complete", toolCallId="1", success=False, error={"code": "denied"})),
        Step("other", (copilot("tool.execution_complete", error={"code": "failure", "message": "denied"}),)),
    ],
    Agent.AIDER: [
        Step("good", (AIDER,)),
        Step("good", ("Tokens: 11 sent, 7 received.",)),
        bad("litellm.APIError: it broke"),
        bad("Only 3 reflections allowed, stopping."),
        Step("other", ("Retrying in 0.2 seconds...",)),
        Step("other", ("Tokens: 11 sent, 0 received.",)),
    ],
}
VERDICTS = ("good", "bad", "turn")
TELLING = {
    event["type"]
    for steps in STEPS.values()
    for step in steps
    for event in step.printed
    if isinstance(event, dict) and step.kind in VERDICTS
} | {"system"}
SILENT = {agent: [event for event in events if event["type"] not in TELLING] for agent, events in RECORDED.items()}
"""Events that bear on nothing."""
LIMIT_BYTES = 4_096
"""Of an event, in place of the real limit."""
TEXTS = st.sampled_from(
    [*NOISE, "", "API Error: 529 Overloaded", "permission denied", "null", "[1, 2", "{}", '{"', "x" * 2 * LIMIT_BYTES]
)
SUCCESS, FAILURES = (
    (200, CHUNK % "stop"),
    {
        (529, "{}"): ReasonCode.MODEL_OVERLOADED,
        (404, '{"error": {"message": "model x not found"}}'): ReasonCode.MODEL_NOT_FOUND,
        (401, "{}"): ReasonCode.MODEL_KEY_UNUSABLE,
        (402, "{}"): ReasonCode.BALANCE_EXHAUSTED,
        (400, '{"error": {"message": "prompt is too long"}}'): ReasonCode.CONTEXT_EXCEEDED,
        (200, CHUNK % "length"): ReasonCode.NO_RESULT,
    },
)


class Drawn(NamedTuple):
    """A run."""

    agent: Agent
    steps: list[Step]
    calls: list[tuple[int, str]]
    exit_code: int | None


@st.composite
def silent(draw: st.DrawFn, agent: Agent) -> Step:
    """Something that bears on nothing: text, events of unknown types and shapes, and any event that was cut."""
    if agent not in SILENT or draw(st.booleans()):
        return Step("other", (draw(TEXTS),), tuple(draw(st.lists(TEXTS, max_size=2))))
    event: object = draw(st.sampled_from(SILENT[agent]))
    match draw(st.integers(0, 3)):
        case 0:
            return Step("other", (event,))
        case 1:
            return Step("other", ({"type": draw(JSON), **draw(st.dictionaries(st.text(max_size=9), JSON))},))
        case 2:
            assert isinstance(event, dict)
            return Step("other", ({name: value if name == "type" else draw(JSON) for name, value in event.items()},))
        case _:
            whole = json.dumps(draw(st.sampled_from(RECORDED[agent])))
            return Step("other", (whole[: draw(st.integers(0, len(whole) - 1))],))


@st.composite
def runs(draw: st.DrawFn) -> Drawn:
    agent = draw(st.sampled_from(list(STEPS)))
    steps = draw(st.lists(st.one_of(st.sampled_from(STEPS[agent]), silent(agent)), max_size=8))
    if draw(st.booleans()):
        steps.append(STEPS[agent][0])
    calls = draw(st.lists(st.sampled_from([SUCCESS, *FAILURES]), max_size=3))
    calls += [SUCCESS] * draw(st.integers(0, 1))
    if not calls:  # what standard error says of the provider counts then: tests/worker/test_provider_errors.py
        steps = [step._replace(errors=()) if step.kind == "other" else step for step in steps]
    codes = (0, 0, 0, None, 1, 2, 41, 53, 137, 143) if steps and steps[-1].kind in ("good", "bad") else (0, 0, 1, 139)
    return Drawn(agent, steps, calls, draw(st.sampled_from(codes)))


def expected(run: Drawn) -> ReasonCode:
    """Return the reason with which the run ends."""
    last: Step | None = None
    for step in run.steps:
        if step.kind in ("good", "bad"):
            last = step
        elif step.kind == "turn" and last and last.kind == "good":
            last = None
    if last and last.kind == "bad" and last.code is not ReasonCode.AGENT_REPORTED_FAILURE:
        return last.code
    failed_call = FAILURES.get(run.calls[-1]) if run.calls else None
    refused_tool = ReasonCode.TOOLS_REFUSED if any(step.kind == "refused" for step in run.steps) else None
    success = last and last.kind == "good" and not run.exit_code
    causes = [
        *((refused_tool, failed_call) if success else (failed_call, refused_tool)),
        last.code if last and last.kind == "bad" else None,
        ReasonCode.AGENT_EXIT_NONZERO if run.exit_code else None,
        None if run.calls else ReasonCode.NO_MODEL_CALL,
        None if last else ReasonCode.NO_RESULT,
    ]
    return next(filter(None, causes), ReasonCode.COMPLETED)


def printed(agent: Agent, lines: Sequence[object], newline: str) -> bytes:
    text = [line if agent is Agent.AIDER or isinstance(line, str) else json.dumps(line) for line in lines]
    return "".join(f"{line}{newline}" for line in text).encode("utf-8", "replace")


def feed(output: AgentOutput, run: Drawn, data: st.DataObject) -> None:
    """Write both streams in pieces, in any order, with pauses, and the last line with a newline or without."""
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    streams = {
        output.stdout: printed(run.agent, [line for step in run.steps for line in step.printed], newline),
        output.stderr: printed(run.agent, [line for step in run.steps for line in step.errors], "\n"),
    }
    if data.draw(st.booleans()):
        streams[output.stdout] = streams[output.stdout].removesuffix(newline.encode())
    while any(streams.values()):
        take = data.draw(st.sampled_from([take for take, rest in streams.items() if rest]))
        size = data.draw(st.one_of(st.just(1_000_000), st.integers(1, 400)))
        take(streams[take][:size])
        streams[take] = streams[take][size:]
        if data.draw(st.integers(0, 3)) == 0:
            output.stdout_pauses()
    output.close()


@settings(max_examples=300)
@given(runs(), st.data())
def test_any_run_ends_as_its_evidence_says(run: Drawn, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.lines.MAX_EVENT_BYTES", LIMIT_BYTES)
        record = record_of(tuple(run.calls))
        output = AgentOutput(ADAPTERS[run.agent].transcript(), lambda _: None, record)
        feed(output, run, data)
    outcome = decided_on(run.agent, output, record, run.exit_code)
    assert outcome.reason.code is expected(run)
    assert (outcome.status is Status.SUCCESS) is (expected(run) is ReasonCode.COMPLETED)
    assert outcome.exit_code == run.exit_code
    assert outcome.reason.message.isprintable()


def test_the_steps_are_of_every_agent_that_says_how_it_ended() -> None:
    assert STEPS.keys() == {*EVENTS, Agent.AIDER}
