"""What an ended run means: pure decisions.

A run succeeds when all evidence agrees: the process exited with 0 (or was ended after its final event), the CLI's final
event says so, a model was called, and no tool was refused. Claude Code, Codex and Gemini CLI document 0 for success and
other exit codes for errors, so one that follows a final event of success contradicts it, and the run failed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from outpost.domain.dispatch import Status
from outpost.domain.findings import Findings
from outpost.domain.lifecycle import cancellation
from outpost.domain.reasons import Reason, ReasonCode
from worker.adapters.base import Failure
from worker.adapters.transcript import Verdict
from worker.agent_process import AgentEnd, Limit
from worker.lines import beginning, printable
from worker.model_endings import Ending
from worker.model_proxy.calls import CallFailure
from worker.provider_errors import cause_of
from worker.stop import Cause

_MESSAGE_LENGTH = 500


@dataclass(frozen=True)
class Outcome:
    """How a dispatch ends."""

    status: Status
    reason: Reason
    exit_code: int | None = None


@dataclass(frozen=True)
class Evidence:
    """All that is known about a run when its process has ended."""

    end: AgentEnd
    time_limit: float
    """Seconds."""
    has_final_event: bool = False
    """Whether the CLI prints whether it succeeded."""
    verdict: Verdict | None = None
    """Its last final event; None when it printed none."""
    refused_tools: Sequence[str] = ()
    model_calls: int | None = None
    """Calls that succeeded; None where there is no model, or its calls are not seen."""
    call_failure: CallFailure | None = None
    """The last model calls, when they failed."""
    last_ending: Ending = field(default_factory=Ending)
    """How the last response of the agent's work ended."""
    stops_at_tool: Failure = (ReasonCode.NO_RESULT, "")
    """What it means that the CLI ended although the model waits for a tool's result."""
    missing_tools: Sequence[str] = ()
    """Tools that the CLI needs for its work and did not offer to the model."""
    refusal: str | None = None
    """Why the harness refused a model call that the budget had no room for."""
    exit_meaning: str | None = None
    """What the CLI documents about its exit code."""
    last_error_line: str = ""
    """The last line of standard error."""


def failed(code: ReasonCode, message: str, exit_code: int | None = None) -> Outcome:
    """Return a failure with the code's standard remedy."""
    return Outcome(Status.FAILED, Reason.of(code, _clean(message)), exit_code)


def _clean(message: str) -> str:
    """Return a message as valid text: a CLI cuts its own texts inside characters, and quotes terminals."""
    return printable(message.encode("utf-8", "replace"))


def cancelled() -> Outcome:
    """Return the end that a client asked for."""
    return Outcome(Status.CANCELLED, cancellation(None))


def decide_outcome(evidence: Evidence) -> Outcome:
    """Return how the dispatch ends: the cause that is nearest to the fault names a failure."""
    end = evidence.end
    if end.stopped is Cause.CANCELLED:
        return replace(cancelled(), exit_code=end.exit_code)
    if end.limit is not None:
        return _over_limit(evidence, end.limit)
    causes = _causes_of_failure(evidence) if _has_failed(evidence) else _missing_evidence(evidence)
    if failure := next(causes, None):
        return failed(*failure, end.exit_code)
    ended = "was ended: it did not exit after it" if end.exit_code is None else f"ended with exit code {end.exit_code}"
    result = "reported success and " if evidence.has_final_event else ""
    return Outcome(Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, f"The agent {result}{ended}."), end.exit_code)


def withholding(outcome: Outcome, findings: Findings) -> Outcome:
    """Return the outcome of a run whose results hold secrets: what it was, and why a success cannot be fetched yet."""
    if outcome.status is not Status.SUCCESS or not findings.withheld:
        return outcome
    what = f"{' and '.join(findings.withheld)} withheld until released: {findings.describe(known=True)}."
    return replace(outcome, reason=Reason.of(ReasonCode.SECRET_IN_OUTPUT, f"{outcome.reason.message} {what}"))


_PERHAPS_FORBIDDEN = frozenset(
    {
        ReasonCode.AGENT_EXIT_NONZERO,
        ReasonCode.AGENT_REPORTED_FAILURE,
        ReasonCode.NO_MODEL_CALL,
        ReasonCode.NO_RESULT,
        ReasonCode.TOOLS_REFUSED,
        ReasonCode.TURN_LIMIT,
    }
)
"""Failures that a repository's settings of the CLI can cause."""


_ALLOW_TOOLS = "If the task needed these tools: allow them in the repository's settings of this agent, dispatch again."


def naming_settings(outcome: Outcome, evidence: Evidence, files: Sequence[str]) -> Outcome:
    """Return the outcome with the repository's settings files in its message, where they can be the cause.

    They can be the cause as well where a run was stopped or ran out of its budget before its first model call, where
    the model proxy refused what a call asked for, and of tools that no call offered, which costs no success.
    """
    what = "it"
    if outcome.status is Status.SUCCESS and evidence.missing_tools:
        what = f"the use of {', '.join(evidence.missing_tools)}, which the model was not offered"
    elif not _perhaps_forbidden(outcome, evidence):
        return outcome
    if not files:
        return outcome
    message = f"{outcome.reason.message} The repository's own settings may forbid {what}: {', '.join(files)}."
    remedy = _ALLOW_TOOLS if outcome.status is Status.SUCCESS else outcome.reason.remedy
    return replace(outcome, reason=outcome.reason.model_copy(update={"message": message, "remedy": remedy}))


def _perhaps_forbidden(outcome: Outcome, evidence: Evidence) -> bool:
    failure = evidence.call_failure
    refused_by_proxy = failure is not None and failure.error.by_proxy and failure.error.code is outcome.reason.code
    stopped = evidence.end.limit is not None or outcome.reason.code is ReasonCode.BUDGET_EXCEEDED
    early = stopped and evidence.model_calls == 0
    return outcome.reason.code in _PERHAPS_FORBIDDEN or refused_by_proxy or early


def without_results(outcome: Outcome, code: ReasonCode, message: str) -> Outcome:
    """Return the outcome of a run whose results are missing: no success, but an earlier reason stays."""
    if outcome.status is not Status.SUCCESS:
        return outcome
    return failed(code, message, outcome.exit_code)


_LIMITS: dict[Limit, tuple[Status, ReasonCode, str]] = {
    Limit.TIME: (
        Status.TIMEOUT,
        ReasonCode.TIME_LIMIT,
        "The agent ran longer than its limit of {:.0f} s and was stopped.",
    ),
    Limit.SILENCE: (
        Status.FAILED,
        ReasonCode.NO_PROGRESS,
        "The agent printed nothing for too long and was stopped.",
    ),
    Limit.DISK: (Status.FAILED, ReasonCode.DISK_FULL, "The agent filled the disk and was stopped."),
}


def _over_limit(evidence: Evidence, limit: Limit) -> Outcome:
    """Return the outcome of a run that was stopped; a provider whose calls all failed is the cause of its waiting."""
    status, code, message = _LIMITS[limit]
    message = message.format(evidence.time_limit)
    if evidence.end.waiting_for and limit is not Limit.DISK:
        message += f" {evidence.end.waiting_for}."
    failure = evidence.call_failure
    in_work = failure is not None and not (failure.beside_work and evidence.end.tool_running)
    if failure is not None and in_work and limit is not Limit.DISK:
        code = failure.error.code
        message += f" {_failed_calls(failure)}"
    return Outcome(status, Reason.of(code, _clean(message)), evidence.end.exit_code)


def _has_failed(evidence: Evidence) -> bool:
    verdict = evidence.verdict
    said = verdict.success if verdict is not None else not evidence.has_final_event
    return evidence.end.exit_code not in (0, None) or not said


def _missing_evidence(evidence: Evidence) -> Iterator[Failure]:
    """Yield why a run that reports success is none, the nearest cause first."""
    if evidence.refused_tools:
        yield _refused(evidence.refused_tools)
    if unfinished := evidence.last_ending.unfinished:
        yield unfinished.code, f"The agent reported success, but {unfinished.message}."
    if evidence.last_ending.asks_tools:
        code, meaning = evidence.stops_at_tool
        words = "The agent reported success, but its model asked for a tool and never got the result"
        yield code, f"{words}{f': {meaning}' if meaning else ''}."
    if evidence.model_calls == 0:
        if evidence.call_failure is not None:
            yield evidence.call_failure.error.code, _failed_calls(evidence.call_failure)
        yield ReasonCode.NO_MODEL_CALL, "The agent reported success, but it never called its model."


def _causes_of_failure(evidence: Evidence) -> Iterator[Failure]:
    """Yield why a run failed, the nearest cause first."""
    verdict = evidence.verdict
    if evidence.end.exit_code != 0:
        yield from _shortages(evidence.end)
    if evidence.refusal is not None:
        yield ReasonCode.BUDGET_EXCEEDED, f"The agent was not done, and {evidence.refusal}."
    if verdict is not None and not verdict.success and verdict.code is not None:
        yield verdict.code, _reported(verdict)
    yield from _causes_at_the_provider(evidence)
    if evidence.refused_tools:
        yield _refused(evidence.refused_tools)
    if verdict is not None and not verdict.success:
        yield ReasonCode.AGENT_REPORTED_FAILURE, _reported(verdict)
    yield _without_verdict(evidence)


def _causes_at_the_provider(evidence: Evidence) -> Iterator[Failure]:
    verdict, failure = evidence.verdict, evidence.call_failure
    if failure is not None and (not failure.beside_work or _quotes(evidence, failure)):
        yield failure.error.code, _failed_calls(failure)
    if unfinished := evidence.last_ending.unfinished:
        yield unfinished.code, f"The agent was not done, and {unfinished.message}."
    if verdict is not None and not verdict.success and (code := _quoted(evidence, verdict.message)):
        yield code, _reported(verdict)


def _shortages(end: AgentEnd) -> Iterator[Failure]:
    if end.out_of_memory:
        yield ReasonCode.OUT_OF_MEMORY, "A process of the agent was killed for want of memory."
    if end.disk_full:
        yield ReasonCode.DISK_FULL, "The agent failed, and the disk was full."


def _without_verdict(evidence: Evidence) -> Failure:
    """Return the cause of a failure that the process alone shows: its exit code, or its silence."""
    exit_code, uncalled = evidence.end.exit_code, evidence.model_calls == 0
    line = beginning(evidence.last_error_line, _MESSAGE_LENGTH) if evidence.verdict is None else ""
    message = f"The agent ended with exit code {exit_code}"
    if evidence.verdict is not None:
        message += ", although it had reported success"
    elif evidence.has_final_event:
        message += " without a result" + " and without a call of its model" * uncalled
    for detail in (evidence.exit_meaning, line):
        message += f": {detail}" if detail else ""
    silent = ReasonCode.NO_MODEL_CALL if uncalled else ReasonCode.NO_RESULT
    code = silent if exit_code == 0 else ReasonCode.AGENT_EXIT_NONZERO
    return _quoted(evidence, line) or code, f"{message.removesuffix('.')}."


def _quoted(evidence: Evidence, text: str) -> ReasonCode | None:
    """Return what a CLI's text says of the provider, where no model call was seen.

    Once a model has responded, a text may be its own or a tool's words: then the record of calls counts alone.
    """
    return None if evidence.model_calls or evidence.call_failure else cause_of(text)


def _quotes(evidence: Evidence, failure: CallFailure) -> bool:
    """Return whether the CLI ends with this error: without a title or a summary it can continue its work."""
    verdict = evidence.verdict
    words = evidence.last_error_line if verdict is None or verdict.success else verdict.message
    return cause_of(words) is failure.error.code


def _refused(tools: Sequence[str]) -> Failure:
    names = beginning(", ".join(tools), _MESSAGE_LENGTH)
    return ReasonCode.TOOLS_REFUSED, f"The agent was not permitted to use tools that it needed: {names}."


def _reported(verdict: Verdict) -> str:
    words = beginning(" ".join(verdict.message.split()), _MESSAGE_LENGTH)
    return f"The agent reported: {words or 'an error without a message'}"


def _failed_calls(failure: CallFailure) -> str:
    times = f" (the last of {failure.calls} in a row)" if failure.calls > 1 else ""
    return f"A model call failed{times}: {failure.error.message}"
