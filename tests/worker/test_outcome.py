"""What a run's evidence means: a success needs all of it, and a failure names its nearest cause."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.dispatch import Status
from outpost.domain.reasons import Reason, ReasonCode
from worker.adapters.transcript import Verdict, tool_line
from worker.agent_process import AgentEnd, Limit
from worker.model_endings import Ending, ending_of
from worker.model_proxy.calls import CallFailure
from worker.outcome import Evidence, decide_outcome, naming_settings
from worker.provider_errors import ProviderError, error_of_body, error_of_event, error_of_response
from worker.stop import Cause

OVERLOADED = CallFailure(ProviderError(ReasonCode.MODEL_OVERLOADED, "HTTP 529 overloaded_error: Overloaded"), 10)
GOOD = Evidence(AgentEnd(0, 1.0), 60, has_final_event=True, verdict=Verdict(success=True), model_calls=2)
"""A run that succeeded."""
UNSEEN = replace(GOOD, model_calls=0)
FAILED = Verdict(success=False, message="it did not work")


def test_a_run_with_all_its_evidence_is_a_success() -> None:
    outcome = decide_outcome(GOOD)
    assert (outcome.status, outcome.reason.code, outcome.exit_code) == (Status.SUCCESS, ReasonCode.COMPLETED, 0)


def test_a_process_that_outlives_its_final_event_changes_nothing() -> None:
    outcome = decide_outcome(replace(GOOD, end=AgentEnd(None, 12.0)))
    assert (outcome.status, outcome.exit_code) == (Status.SUCCESS, None)
    assert "did not exit" in outcome.reason.message
    outcome = decide_outcome(replace(GOOD, end=AgentEnd(None, 12.0), verdict=FAILED))
    assert outcome.reason.code is ReasonCode.AGENT_REPORTED_FAILURE


@pytest.mark.parametrize(
    ("evidence", "code", "words"),
    [
        (replace(GOOD, verdict=FAILED), ReasonCode.AGENT_REPORTED_FAILURE, "it did not work"),
        (replace(GOOD, verdict=replace(FAILED, message=" \n")), ReasonCode.AGENT_REPORTED_FAILURE, "without a message"),
        (replace(GOOD, verdict=None), ReasonCode.NO_RESULT, "exit code 0 without a result"),
        (replace(GOOD, model_calls=0), ReasonCode.NO_MODEL_CALL, "never called its model"),
        (replace(GOOD, verdict=None, model_calls=0), ReasonCode.NO_MODEL_CALL, "without a call of its model"),
        (replace(GOOD, refused_tools=("Bash", "Write")), ReasonCode.TOOLS_REFUSED, "Bash, Write"),
        (replace(GOOD, verdict=FAILED, refused_tools=("Bash",)), ReasonCode.TOOLS_REFUSED, "needed: Bash."),
        (replace(GOOD, end=AgentEnd(1, 1.0)), ReasonCode.AGENT_EXIT_NONZERO, "although it had reported success"),
        (
            replace(GOOD, end=AgentEnd(41, 1.0), verdict=None, exit_meaning="it could not sign in"),
            ReasonCode.AGENT_EXIT_NONZERO,
            "exit code 41 without a result: it could not sign in",
        ),
        (
            replace(UNSEEN, end=AgentEnd(1, 1.0), verdict=None, last_error_line="Invalid API key · Please run /login"),
            ReasonCode.MODEL_KEY_UNUSABLE,
            "Please run /login",
        ),
        (replace(GOOD, verdict=FAILED, call_failure=OVERLOADED), ReasonCode.MODEL_OVERLOADED, "HTTP 529"),
        (
            replace(GOOD, verdict=replace(FAILED, code=ReasonCode.TURN_LIMIT), call_failure=OVERLOADED),
            ReasonCode.TURN_LIMIT,
            "it did not work",
        ),
        (replace(GOOD, model_calls=0, call_failure=OVERLOADED), ReasonCode.MODEL_OVERLOADED, "the last of 10 in a row"),
        (replace(GOOD, verdict=FAILED, refusal="its budget is spent"), ReasonCode.BUDGET_EXCEEDED, "budget"),
        (replace(GOOD, end=AgentEnd(137, 1.0, out_of_memory=True)), ReasonCode.OUT_OF_MEMORY, "memory"),
        (
            replace(UNSEEN, verdict=replace(FAILED, message="API Error: 529 Overloaded")),
            ReasonCode.MODEL_OVERLOADED,
            "API Error: 529",
        ),
    ],
)
def test_what_is_missing_or_went_wrong_is_the_reason(evidence: Evidence, code: ReasonCode, words: str) -> None:
    outcome = decide_outcome(evidence)
    assert (outcome.status, outcome.reason.code) == (Status.FAILED, code)
    assert words in outcome.reason.message
    assert outcome.reason.message.count("..") == 0


def test_an_error_that_the_agent_recovered_from_is_no_failure() -> None:
    assert decide_outcome(replace(GOOD, call_failure=OVERLOADED)).status is Status.SUCCESS


def test_an_agent_without_model_and_final_event_succeeds_by_its_exit_code() -> None:
    assert decide_outcome(Evidence(AgentEnd(0, 1.0), 60)).status is Status.SUCCESS
    assert decide_outcome(Evidence(AgentEnd(1, 1.0), 60)).reason.code is ReasonCode.AGENT_EXIT_NONZERO


def test_a_timeout_names_what_it_waited_for() -> None:
    end = AgentEnd(143, 60.0, limit=Limit.TIME, waiting_for="It was running [Bash] npm test, 41 s so far")
    outcome = decide_outcome(replace(GOOD, end=end, verdict=None))
    assert (outcome.status, outcome.reason.code) == (Status.TIMEOUT, ReasonCode.TIME_LIMIT)
    assert "limit of 60 s and was stopped. It was running [Bash] npm test, 41 s so far." in outcome.reason.message


BESIDE_WORK = CallFailure(ProviderError(ReasonCode.MODEL_NOT_FOUND, "HTTP 404: no such model"), 1, beside_work=True)


def test_a_failed_call_for_a_title_is_not_why_a_tool_ran_too_long() -> None:
    end = AgentEnd(143, 60.0, limit=Limit.TIME, waiting_for="It was running [Bash] npm test", tool_running=True)
    ran_too_long = replace(GOOD, end=end, verdict=None, call_failure=BESIDE_WORK)
    assert decide_outcome(ran_too_long).reason.code is ReasonCode.TIME_LIMIT
    waited = replace(ran_too_long, end=replace(end, waiting_for="", tool_running=False))
    assert decide_outcome(waited).reason.code is ReasonCode.MODEL_NOT_FOUND


def test_a_failed_call_for_a_summary_is_the_cause_of_a_failure_that_names_it_alone() -> None:
    crashed = replace(GOOD, end=AgentEnd(1, 60.0), verdict=None, call_failure=BESIDE_WORK)
    assert decide_outcome(crashed).reason.code is ReasonCode.AGENT_EXIT_NONZERO
    named = replace(crashed, verdict=Verdict(False, "compaction failed: model_not_found"))
    assert decide_outcome(named).reason.code is ReasonCode.MODEL_NOT_FOUND


@pytest.mark.parametrize(("limit", "status"), [(Limit.TIME, Status.TIMEOUT), (Limit.SILENCE, Status.FAILED)])
def test_an_agent_that_waited_for_a_provider_whose_calls_all_failed_has_its_reason(
    limit: Limit, status: Status
) -> None:
    evidence = replace(GOOD, end=AgentEnd(143, 60.0, limit=limit), verdict=None, call_failure=OVERLOADED)
    outcome = decide_outcome(evidence)
    assert (outcome.status, outcome.reason.code) == (status, ReasonCode.MODEL_OVERLOADED)
    assert "HTTP 529" in outcome.reason.message
    assert "overloaded" in outcome.reason.remedy


CUT = Ending(unfinished=ProviderError(ReasonCode.NO_RESULT, "the model's last response was cut (max_tokens)"))
WAITS = Ending(asks_tools=True)
FULL = (ReasonCode.CONTEXT_EXCEEDED, "it stops so when the window is full")


@pytest.mark.parametrize(
    ("evidence", "code", "words"),
    [
        (replace(GOOD, last_ending=CUT), ReasonCode.NO_RESULT, "reported success, but the model's last response was"),
        (replace(GOOD, last_ending=CUT, verdict=FAILED), ReasonCode.NO_RESULT, "was cut (max_tokens)"),
        (replace(GOOD, last_ending=WAITS), ReasonCode.NO_RESULT, "asked for a tool and never got the result."),
        (replace(GOOD, last_ending=WAITS, stops_at_tool=FULL), ReasonCode.CONTEXT_EXCEEDED, "the window is full."),
    ],
)
def test_a_success_on_a_response_that_is_no_result_is_none(evidence: Evidence, code: ReasonCode, words: str) -> None:
    outcome = decide_outcome(evidence)
    assert (outcome.status, outcome.reason.code) == (Status.FAILED, code)
    assert words in outcome.reason.message


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, verdict=replace(FAILED, message="GitHub's API says: rate limit exceeded")),
        replace(GOOD, verdict=None, end=AgentEnd(1, 1.0), last_error_line="npm error 429 Too Many Requests"),
        replace(GOOD, verdict=None, end=AgentEnd(1, 1.0), last_error_line="the tests of model x not found"),
    ],
)
def test_once_a_model_responded_no_words_are_taken_for_its_providers_error(evidence: Evidence) -> None:
    code = decide_outcome(evidence).reason.code
    assert code in (ReasonCode.AGENT_REPORTED_FAILURE, ReasonCode.AGENT_EXIT_NONZERO)


ENDS = st.builds(
    AgentEnd,
    exit_code=st.none() | st.sampled_from([0, 1, 137]),
    duration_seconds=st.just(1.0),
    limit=st.none() | st.sampled_from(Limit),
    stopped=st.none() | st.just(Cause.CANCELLED),
    out_of_memory=st.booleans(),
    disk_full=st.booleans(),
)
EVIDENCE = st.builds(
    Evidence,
    end=ENDS,
    time_limit=st.just(60.0),
    has_final_event=st.just(True),
    verdict=st.none()
    | st.builds(Verdict, success=st.booleans(), message=st.text(), code=st.none() | st.sampled_from(ReasonCode)),
    refused_tools=st.just(()) | st.just(("Bash",)),
    model_calls=st.integers(0, 2),
    call_failure=st.none() | st.just(OVERLOADED),
    refusal=st.none() | st.just("its budget is spent"),
    exit_meaning=st.none() | st.text(),
    last_error_line=st.text(),
    last_ending=st.sampled_from([Ending(), CUT, WAITS]),
)


@given(EVIDENCE)
def test_no_success_without_all_of_the_evidence(evidence: Evidence) -> None:
    outcome = decide_outcome(evidence)
    if outcome.status is Status.SUCCESS:
        assert evidence.verdict is not None
        assert evidence.verdict.success
        assert evidence.model_calls
        assert not evidence.refused_tools
        assert evidence.last_ending == Ending()
        assert evidence.end.exit_code in (0, None)
        assert (evidence.end.limit, evidence.end.stopped) == (None, None)
        assert outcome.reason.code is ReasonCode.COMPLETED
    else:
        assert outcome.reason.code is not ReasonCode.COMPLETED


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, verdict=Verdict(False, "cut inside \ud83d\x1b[31m\u202e\x00")),
        replace(GOOD, refused_tools=("cut inside \ud83d\x1b[31m\u202e\x00",)),
        replace(GOOD, end=AgentEnd(137, 60.0, limit=Limit.TIME, waiting_for="cut inside \ud83d\x1b[31m\u202e\x00")),
    ],
)
def test_a_message_is_valid_text_whatever_a_cli_prints(evidence: Evidence) -> None:
    reason = decide_outcome(evidence).reason
    assert "cut inside ?" in Reason.model_validate_json(reason.model_dump_json()).message
    assert not {"\x1b", "\u202e", "\x00"} & set(reason.message)


FILES = (".claude/settings.json",)
BY_PROXY = CallFailure(ProviderError(ReasonCode.MODEL_NOT_FOUND, "the model 'x' is not one", by_proxy=True), 1)


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, refused_tools=("Bash",)),
        replace(GOOD, model_calls=0),
        replace(GOOD, verdict=FAILED),
        replace(GOOD, verdict=None, end=AgentEnd(52, 1.0)),
        replace(GOOD, verdict=None, model_calls=0, end=AgentEnd(137, 60.0, limit=Limit.TIME)),
        replace(GOOD, verdict=FAILED, call_failure=BY_PROXY),
        replace(GOOD, verdict=FAILED, model_calls=0, refusal="its budget is spent"),
    ],
)
def test_a_failure_that_a_repositorys_settings_can_cause_names_their_file(evidence: Evidence) -> None:
    outcome = naming_settings(decide_outcome(evidence), evidence, FILES)
    assert outcome.status is not Status.SUCCESS
    assert outcome.reason.message.endswith("The repository's own settings may forbid it: .claude/settings.json.")
    assert naming_settings(decide_outcome(evidence), evidence, ()) == decide_outcome(evidence)


def test_a_success_without_the_tools_that_change_files_names_them_and_the_file() -> None:
    evidence = replace(GOOD, missing_tools=("Bash", "Edit"))
    outcome = naming_settings(decide_outcome(evidence), evidence, FILES)
    assert outcome.status is Status.SUCCESS
    expected = "settings may forbid the use of Bash, Edit, which the model was not offered: .claude/settings.json."
    assert outcome.reason.message.endswith(expected)
    assert "allow them" in outcome.reason.remedy
    assert naming_settings(decide_outcome(evidence), evidence, ()) == decide_outcome(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        GOOD,
        replace(GOOD, verdict=FAILED, refusal="its budget is spent"),
        replace(GOOD, verdict=FAILED, call_failure=OVERLOADED),
        replace(GOOD, verdict=None, end=AgentEnd(137, 60.0, limit=Limit.TIME)),
        replace(GOOD, end=AgentEnd(143, 1.0, stopped=Cause.CANCELLED)),
    ],
)
def test_no_file_is_named_where_settings_are_not_the_cause(evidence: Evidence) -> None:
    assert naming_settings(decide_outcome(evidence), evidence, FILES) == decide_outcome(evidence)


KEY = "npm_4fT9xQ2LmV7cR1bZ8kYw"


@pytest.mark.parametrize(
    "cut",
    [
        lambda text: tool_line("Bash", {"command": text}).text,
        lambda text: tool_line("Bash", text).text,
        lambda text: tool_line(text, "").text,
        lambda text: decide_outcome(replace(GOOD, verdict=replace(FAILED, message=text))).reason.message,
        lambda text: decide_outcome(replace(GOOD, refused_tools=(text,))).reason.message,
        lambda text: (
            decide_outcome(replace(GOOD, end=AgentEnd(1, 1.0), verdict=None, last_error_line=text)).reason.message
        ),
        lambda text: error_of_response(400, text.encode()).message,
        lambda text: error_of_response(503, f"<html><title>{text}</title>".encode()).message,
        lambda text: error_of_body("text/plain", text.encode()).message,
        lambda text: getattr(error_of_event({"error": {"message": text}}), "message", ""),
        lambda text: getattr(ending_of({"type": "x", "refusal": text}).unfinished, "message", ""),
    ],
)
def test_no_key_is_halved_where_a_text_is_cut(cut: Callable[[str], str]) -> None:
    """The redactor comes later, and does not know the half of one."""
    for length in range(0, 520, 7):
        shown = cut(f"{'word ' * (length // 5)}{'.' * (length % 5)} {KEY} {'more ' * 120}")
        assert (KEY in shown) or KEY[:4] not in shown, shown
