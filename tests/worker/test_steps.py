"""The steps of an attempt: which of them runs, what its errors mean, and the redactor that they share."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from outpost.domain.agents import Agent
from outpost.domain.artifacts import LogSource
from outpost.domain.dispatch import Status
from outpost.domain.reasons import ReasonCode
from tests.worker.aws_endpoint import assignment
from worker import __main__ as program
from worker.attempt import PROMOTION, TASK, Step, decide
from worker.attempt_redactor import AttemptRedactor
from worker.broker import BrokerClient
from worker.clone import CloneError
from worker.isolation import NoIsolation
from worker.outcome import Outcome, failed
from worker.settings import Identity, Settings
from worker.step_context import StepContext, Worker
from worker.stop import Cause, Stopped

CONTEXT = cast(StepContext, SimpleNamespace())
DONE = failed(ReasonCode.NO_RESULT, "decided")
SECRET = "correct-horse-battery"
Failures = Mapping[type[Exception], tuple[ReasonCode, str]]


def step(
    name: str, ran: list[str], result: Outcome | Exception | None = None, failures: Failures | None = None
) -> Step:
    def run(_: StepContext) -> Outcome | None:
        ran.append(name)
        if isinstance(result, Exception):
            raise result
        return result

    return Step(name, run, failures or {})


def test_steps_run_in_order_until_one_knows_the_outcome() -> None:
    ran: list[str] = []
    steps = [step("a", ran), step("b", ran, DONE), step("c", ran)]
    assert decide(CONTEXT, steps) is DONE
    assert ran == ["a", "b"]


def test_an_error_means_what_its_step_says() -> None:
    failures: Failures = {CloneError: (ReasonCode.CLONE_FAILED, "Not cloned: {}.")}
    outcome = decide(CONTEXT, [step("a", [], CloneError("a {brace}"), failures), step("b", [], DONE)])
    assert (outcome.reason.code, outcome.reason.message) == (ReasonCode.CLONE_FAILED, "Not cloned: a {brace}.")
    with pytest.raises(CloneError) as raised:
        decide(CONTEXT, [step("a", [], CloneError("unexpected here"))])
    assert raised.value.__notes__ == ["in the step 'a'"]


@pytest.mark.parametrize("cause", Cause)
def test_only_a_cancelled_run_that_is_stopped_has_an_outcome(cause: Cause) -> None:
    steps = [step("a", [], Stopped(cause))]
    if cause is Cause.CANCELLED:
        assert decide(CONTEXT, steps).status is Status.CANCELLED
    else:
        with pytest.raises(Stopped):
            decide(CONTEXT, steps)


def test_the_steps_of_both_kinds_are_these() -> None:
    assert [each.name for each in TASK] == ["secrets", "workspace", "context", "agent"]
    assert [each.name for each in PROMOTION] == ["clone", "publish"]


def test_secrets_are_taken_out_of_log_texts_and_the_workers_own_events() -> None:
    redactor = AttemptRedactor()
    redactor.register({"FIRST": "not-this-one-either"})
    redactor.register({"TOKEN": SECRET})
    assert redactor.lines(LogSource.EXECUTOR, [f"a {SECRET}", "not-this-one-either"]) == [
        "a [REDACTED:TOKEN]",
        "[REDACTED:FIRST]",
    ]
    assert redactor.text(f"x {SECRET}") == "x [REDACTED:TOKEN]"


def test_the_workers_own_log_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    redactor = AttemptRedactor()
    program._configure_log(redactor)
    redactor.register({"TOKEN": SECRET})
    try:
        int(SECRET)
    except ValueError:
        structlog.get_logger().exception("failed", error=SECRET, tokens=5)
    finally:
        structlog.reset_defaults()
    logged = capsys.readouterr().out
    assert SECRET not in logged
    assert '"error": "[REDACTED:TOKEN]", "tokens": 5' in logged


def test_keys_that_a_heartbeat_brings_are_taken_out_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings = Settings(
        agent=Agent.SHELL,
        environment="test",
        queue_url="",
        broker_function="broker",
        git_base_url="https://git.example",
        launcher=None,
        agent_path=os.environ["PATH"],
        metadata_url="",
        workspaces=tmp_path,
    )
    worker = Worker(settings, Identity("arn:x/w1", 1, 0.25, 512), BrokerClient("broker"), NoIsolation())
    context = StepContext(assignment(), worker)
    renewed = context.assignment.credentials.model_copy(update={"secret_access_key": SECRET})
    context._use_credentials(renewed, None)
    assert SECRET not in context.redactor.text(f"x {SECRET}")
    for end in (context.log.abandon, context.log._output.close, context.workspace.remove):
        end()
