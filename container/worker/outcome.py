"""What an ended run means: pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from outpost.domain.dispatch import Status
from outpost.domain.findings import Findings
from outpost.domain.reasons import Reason, ReasonCode
from worker.agent_process import AgentEnd
from worker.limits import Limit
from worker.stop import Cause
from worker.usage import Meter


@dataclass(frozen=True)
class Outcome:
    """How a dispatch ends."""

    status: Status
    reason: Reason
    exit_code: int | None = None


def failed(code: ReasonCode, message: str, exit_code: int | None = None) -> Outcome:
    """Return a failure with the code's standard remedy."""
    return Outcome(Status.FAILED, Reason.of(code, message), exit_code)


def cancelled() -> Outcome:
    """Return the end that a client asked for."""
    return Outcome(Status.CANCELLED, Reason.of(ReasonCode.CANCELLED_BY_USER, "Cancelled on request."))


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


def judge(end: AgentEnd, time_limit: float, meanings: Mapping[int, str]) -> Outcome:
    """Return what the agent's end means. The exit code counts before any other sign, and 0 is a success.

    `meanings`: what the agent's CLI means by exit codes of its own.
    """
    if end.stopped is Cause.CANCELLED:
        return replace(cancelled(), exit_code=end.exit_code)
    if end.limit is not None:
        status, code, message = _LIMITS[end.limit]
        return Outcome(status, Reason.of(code, message.format(time_limit)), end.exit_code)
    if end.exit_code == 0:
        return Outcome(Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, "The agent ended with exit code 0."), 0)
    if shortage := _shortage(end):
        return failed(*shortage, end.exit_code)
    meaning = f": {meanings[end.exit_code]}" if end.exit_code in meanings else ""
    message = f"The agent ended with exit code {end.exit_code}{meaning}."
    return failed(ReasonCode.AGENT_EXIT_NONZERO, message, end.exit_code)


def _shortage(end: AgentEnd) -> tuple[ReasonCode, str] | None:
    if end.out_of_memory:
        return ReasonCode.OUT_OF_MEMORY, "A process of the agent was killed for want of memory."
    if end.disk_full:
        return ReasonCode.DISK_FULL, "The agent failed, and the disk was full."
    return None


def with_the_agents_word(outcome: Outcome, failure: str | None, meter: Meter) -> Outcome:
    """Return the outcome in the light of what the CLI said, for some fail with exit code 0, and of its model calls."""
    if outcome.reason.code not in (ReasonCode.COMPLETED, ReasonCode.AGENT_EXIT_NONZERO):
        return outcome
    in_trouble = failure is not None or outcome.status is Status.FAILED
    if in_trouble and meter.refusal:
        message = f"The agent was not done, and {meter.refusal}."
        return failed(ReasonCode.BUDGET_SPENT, message, outcome.exit_code)
    if in_trouble and meter.rejections:
        return failed(ReasonCode.MODEL_KEY_UNUSABLE, "The model's provider rejected the key.", outcome.exit_code)
    if failure and outcome.status is Status.SUCCESS:
        return failed(ReasonCode.AGENT_REPORTED_FAILURE, f"The agent reported: {failure[:500]}", outcome.exit_code)
    return outcome


def withholding(outcome: Outcome, findings: Findings) -> Outcome:
    """Return the outcome of a run whose results hold secrets: what it was, and why a success cannot be fetched yet."""
    if outcome.status is not Status.SUCCESS or not findings.withheld:
        return outcome
    what = f"{' and '.join(findings.withheld)} withheld: {findings.describe(known=True)}."
    return replace(outcome, reason=Reason.of(ReasonCode.SECRET_IN_OUTPUT, f"{outcome.reason.message} {what}"))


def without_results(outcome: Outcome, code: ReasonCode, message: str) -> Outcome:
    """Return the outcome of a run whose results are missing: no success, but an earlier reason stays."""
    if outcome.status is not Status.SUCCESS:
        return outcome
    return failed(code, message, outcome.exit_code)
