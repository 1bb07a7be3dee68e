"""One attempt at a dispatch: its steps, from the assignment to the report.

    a task:       secrets -> workspace -> context -> agent -> collect -> upload -> report
    a promotion:  clone -> publish                         -> collect -> upload -> report

The first step that knows the outcome ends those before `collect`.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from outpost.domain.reasons import ReasonCode
from outpost.fleet.forge import ForgeError
from worker.adapters.base import StartError
from worker.archive import ArchiveError
from worker.broker import BrokerError
from worker.clone import CloneError
from worker.isolation import IsolationError, end_all
from worker.lease_calls import ForgeTokenError
from worker.model_proxy.access import ModelKeyError
from worker.outcome import Outcome, cancelled, failed
from worker.promotion import clone_repository, publish
from worker.step_context import StepContext
from worker.steps import collect, prepare_workspace, read_secrets, report, run_agent, upload, write_prompt
from worker.stop import Cause, Stopped
from worker.store import DownloadError, SecretError, UnconfirmedError

EXIT_DONE = 0
EXIT_BROKEN = 1
EXIT_LOST = 75
EXIT_TERMINATED = 143

_log = structlog.get_logger()


@dataclass(frozen=True)
class Step:
    """A step of an attempt before its outcome is known."""

    name: str
    run: Callable[[StepContext], Outcome | None]
    """Returns the outcome; None where a later step decides it."""
    failures: Mapping[type[Exception], tuple[ReasonCode, str]] = field(default_factory=dict)
    """What errors of the step mean for the client: the reason, and its message with a place for the error's."""


TASK = (
    Step("secrets", read_secrets, {SecretError: (ReasonCode.SECRET_UNAVAILABLE, "{}.")}),
    Step(
        "workspace",
        prepare_workspace,
        {
            ArchiveError: (ReasonCode.WORKSPACE_UNAVAILABLE, "{}."),
            CloneError: (ReasonCode.CLONE_FAILED, "The repository could not be cloned: {}"),
            ForgeTokenError: (ReasonCode.FORGE_TOKEN_UNAVAILABLE, "{}."),
        },
    ),
    Step("context", write_prompt),
    Step(
        "agent",
        run_agent,
        {
            ModelKeyError: (ReasonCode.MODEL_KEY_UNUSABLE, "The agent cannot reach its model: {}."),
            StartError: (ReasonCode.AGENT_START_FAILED, "{}."),
        },
    ),
)
_NO_TOKEN = (ReasonCode.FORGE_TOKEN_UNAVAILABLE, "There is no token of the forge: {}.")
_NOT_OPENED = "The branch was pushed, but the pull request was not opened: {}."
PROMOTION = (
    Step(
        "clone",
        clone_repository,
        {
            CloneError: (ReasonCode.CLONE_FAILED, "The repository could not be cloned: {}."),
            ForgeTokenError: _NO_TOKEN,
        },
    ),
    Step(
        "publish",
        publish,
        {
            DownloadError: (ReasonCode.PATCH_FAILED, "The patch could not be read: {}."),
            ForgeTokenError: _NO_TOKEN,
            ForgeError: (ReasonCode.PULL_REQUEST_FAILED, _NOT_OPENED),
        },
    ),
)
CLOSING: Sequence[Callable[[StepContext, Outcome], Outcome]] = (collect, upload, report)
"""Each returns the outcome with what follows from the step: a run without its results is no success."""


def run_attempt(context: StepContext) -> int:
    """Run the steps of the assignment's kind, and return the worker's exit code."""
    try:
        with context.heartbeat.running():
            return _exit_code(context, PROMOTION if context.assignment.spec.promotes else TASK)
    finally:
        _clean_up(context)


def _exit_code(context: StepContext, steps: Sequence[Step]) -> int:
    try:
        outcome = decide(context, steps)
        for close in CLOSING:
            outcome = close(context, outcome)
    except Stopped as stopped:
        _log.info("stopped", cause=stopped.cause.value)
        return EXIT_LOST if stopped.cause is Cause.LOST else EXIT_TERMINATED
    except BrokerError as error:
        _log.error("the broker does not respond", summary_stored=context.results.stored, error=str(error))
        return EXIT_BROKEN
    except UnconfirmedError as error:
        _log.error("whether the summary is stored is not known; it is read after this task", error=str(error))
        return EXIT_BROKEN
    except Exception as error:  # noqa: BLE001 - whatever broke, it is reported at once
        _log.exception("the harness failed")
        _report_failure(context, error)
        return EXIT_BROKEN
    return EXIT_DONE


def decide(context: StepContext, steps: Sequence[Step]) -> Outcome:
    """Run steps until one returns the outcome, or fails in a way that is one. Raises `Stopped`: report nothing."""
    for step in steps:
        try:
            outcome = step.run(context)
        except Stopped as stopped:
            if stopped.cause is not Cause.CANCELLED:
                raise
            outcome = cancelled()
        except tuple(step.failures) as error:
            code, message = next(meaning for kind, meaning in step.failures.items() if isinstance(error, kind))
            outcome = failed(code, message.format(error))
        except Exception as error:
            error.add_note(f"in the step {step.name!r}")
            raise
        if outcome is not None:
            return outcome
    raise AssertionError(f"no step of {', '.join(step.name for step in steps)} returned an outcome")


def _report_failure(context: StepContext, error: Exception) -> None:
    """Report that it was not the task's fault; the details are in the worker's own log.

    What a stored summary says stays so: after the end of this task it closes the dispatch.
    """
    if context.results.sent:
        return
    try:
        report(context, failed(ReasonCode.INTERNAL_ERROR, f"The harness failed: {type(error).__name__}."))
    except (BrokerError, Stopped) as unreported:
        _log.error("the failure could not be reported either", error=str(unreported))


def _clean_up(context: StepContext) -> None:
    context.log.abandon()
    context.agent.close()
    try:
        end_all(context.worker.isolation, keep=0)
        context.workspace.remove()
    except (IsolationError, subprocess.SubprocessError, OSError) as error:
        _log.warning("the workspace was not removed; it goes with the container", error=str(error))
