"""Every combination of what a CLI prints, how it exits and what its model calls were: one rule decides them all."""

import json
from itertools import product

import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Status
from outpost.domain.reasons import ReasonCode
from tests.worker.test_adapters import CLAUDE, CODEX, GEMINI, lines
from worker.adapters import ADAPTERS
from worker.agent_output import AgentOutput
from worker.agent_process import AgentEnd
from worker.model_proxy.calls import ModelCalls
from worker.outcome import Evidence, Outcome, decide_outcome

EVENTS = {Agent.CLAUDE: CLAUDE, Agent.CODEX: CODEX, Agent.GEMINI: GEMINI}
ERRORS = {
    Agent.CLAUDE: {"type": "result", "subtype": "success", "is_error": True, "result": "Rate limit of npm exceeded"},
    Agent.CODEX: {"type": "turn.failed", "error": {"message": "Rate limit of npm exceeded"}},
    Agent.GEMINI: {"type": "result", "status": "error", "error": {"message": "Rate limit of npm exceeded"}},
}
CHUNK = 'data: {"choices": [{"delta": {}, "finish_reason": "%s"}]}\n\n'
OVERLOADED = (529, "{}")
Calls = tuple[tuple[int, str], ...]
CALLS: dict[str, Calls] = {
    "none": (),
    "whole": ((200, CHUNK % "stop"),),
    "failed": (OVERLOADED, OVERLOADED),
    "failed, then whole": (OVERLOADED, (200, CHUNK % "stop")),
    "whole, then failed": ((200, CHUNK % "tool_calls"), OVERLOADED),
    "cut": ((200, CHUNK % "length"),),
    "filtered": ((200, CHUNK % "content_filter"),),
    "cut, then whole": ((200, CHUNK % "length"), (200, CHUNK % "stop")),
    "waits for a tool": ((200, CHUNK % "tool_calls"),),
    "gateway": ((200, "<html><title>Sign in</title></html>"),),
}
CAUSES = {
    "failed": ReasonCode.MODEL_OVERLOADED,
    "whole, then failed": ReasonCode.MODEL_OVERLOADED,
    "cut": ReasonCode.NO_RESULT,
    "filtered": ReasonCode.MODEL_REQUEST_REFUSED,
    "gateway": ReasonCode.MODEL_UNAVAILABLE,
}
OUTPUTS = {
    "success": ["good"],
    "error": ["bad"],
    "nothing": [],
    "error, then success": ["bad", "good"],
    "success, then error": ["good", "bad"],
    "success twice": ["good", "good"],
    "cut success": ["cut"],
}
NOISE = (
    "(node:7) Warning: MaxListenersExceededWarning",
    "npm error 429 Too Many Requests: rate limit",
    "invalid x-api-key of S3",
)


def record_of(calls: Calls) -> ModelCalls:
    record = ModelCalls()
    for status, body in calls:
        with record.open(frozenset({"bash"})) as call:
            call.begin(status, "text/event-stream")
            call.feed(body.encode())
    return record


def printed(agent: Agent, parts: list[str]) -> bytes:
    success = json.dumps(EVENTS[agent][-1])
    texts = {"good": success, "bad": json.dumps(ERRORS[agent]), "cut": success[: len(success) // 2]}
    return "".join(f"{line}\n" for line in [*lines(EVENTS[agent][:-1]), *(texts[part] for part in parts)]).encode()


def decided(agent: Agent, parts: list[str], calls: str, exit_code: int | None, noise: str) -> Outcome:
    record = record_of(CALLS[calls])
    output = AgentOutput(ADAPTERS[agent].transcript(), lambda _: None, record)
    output.stdout(printed(agent, parts))
    output.stderr(f"{noise}\n".encode())
    output.close()
    return decided_on(agent, output, record, exit_code)


def decided_on(agent: Agent, output: AgentOutput, record: ModelCalls, exit_code: int | None) -> Outcome:
    evidence = Evidence(
        AgentEnd(exit_code, 1.0),
        60,
        has_final_event=True,
        verdict=output.transcript.verdict,
        refused_tools=tuple(output.transcript.refused_tools),
        model_calls=record.succeeded,
        call_failure=record.last_failure,
        last_ending=record.last_ending,
        stops_at_tool=ADAPTERS[agent].stops_at_tool,
        last_error_line=output.last_error_line,
    )
    return decide_outcome(evidence)


@pytest.mark.parametrize("agent", EVENTS)
def test_a_run_succeeds_when_its_last_event_its_exit_and_its_last_call_all_say_so(agent: Agent) -> None:
    for name, calls, exit_code, noise in product(OUTPUTS, CALLS, (0, None, 1, 137), NOISE):
        outcome = decided(agent, OUTPUTS[name], calls, exit_code, noise)
        parts, case = OUTPUTS[name], (name, calls, exit_code, noise, outcome.reason)
        good = parts[-1:] == ["good"] and exit_code in (0, None) and calls.endswith("whole")
        assert (outcome.status is Status.SUCCESS) is good, case
        assert (outcome.reason.code is ReasonCode.COMPLETED) is good, case
        if not good and calls in CAUSES:
            assert outcome.reason.code is CAUSES[calls], case
        if calls.endswith("whole"):
            assert outcome.reason.code not in (ReasonCode.MODEL_RATE_LIMITED, ReasonCode.MODEL_KEY_UNUSABLE), case
        assert outcome.reason.remedy
        assert outcome.exit_code == exit_code
