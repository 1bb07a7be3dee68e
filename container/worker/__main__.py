"""The worker: waits for one dispatch, runs it, reports, exits."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import boto3
import structlog
from botocore.exceptions import BotoCoreError, NoCredentialsError

from outpost.aws.caller_identity import prove
from outpost.domain.protocol import ClaimRequest
from worker.attempt import EXIT_BROKEN, EXIT_DONE, EXIT_TERMINATED, run_attempt
from worker.attempt_redactor import AttemptRedactor
from worker.broker import WAKE_UPS, BrokerClient, BrokerError, WakeUps, wait_for_work
from worker.isolation import Isolation, NoIsolation, UserIsolation, adopt_orphans
from worker.settings import Identity, Settings, SettingsError, read_identity, read_settings
from worker.step_context import StepContext, Worker
from worker.stop import Cause, StopSignal
from worker.store import warm_up

_log = structlog.get_logger()


def main() -> int:
    """Run to the end of one dispatch, and return the exit code."""
    redactor = AttemptRedactor()
    _configure_log(redactor)
    os.umask(0o022)
    adopt_orphans()
    try:
        settings = read_settings(os.environ)
        isolation = _isolation(settings)
        identity = read_identity(settings.metadata_url, settings.agent)
    except SettingsError as error:
        _log.error("the worker cannot start", error=str(error))
        return EXIT_BROKEN
    structlog.contextvars.bind_contextvars(worker_id=identity.worker_id)
    try:
        return _serve(settings, identity, isolation, redactor)
    except BrokerError as error:
        _log.error("the broker cannot be invoked", error=str(error))
        return EXIT_BROKEN


def _configure_log(redactor: AttemptRedactor) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            redactor.process_event,
            structlog.processors.JSONRenderer(),
        ],
    )


def _isolation(settings: Settings) -> Isolation:
    """Return how agents are kept apart, tried out. Raises `SettingsError`."""
    if settings.launcher is None:
        return NoIsolation()
    isolation = UserIsolation(settings.launcher)
    done = subprocess.run(isolation.command(["true"]), env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    if done.returncode != 0:
        error = done.stderr.decode("utf-8", "replace").strip()
        raise SettingsError(
            f"{settings.launcher} cannot become the agent's user ({error}): check its file capabilities"
        )
    return isolation


def _serve(settings: Settings, identity: Identity, isolation: Isolation, redactor: AttemptRedactor) -> int:
    stop = StopSignal()
    wake_ups = WakeUps(boto3.client("sqs", config=WAKE_UPS), settings.queue_url)

    def on_sigterm(*_: object) -> None:
        stop.request(Cause.TERMINATED)
        wake_ups.interrupt()

    signal.signal(signal.SIGTERM, on_sigterm)
    broker = BrokerClient(settings.broker_function)
    warm_up()
    assignment = wait_for_work(broker, wake_ups, _claims(settings, identity), stop)
    if assignment is None:
        _log.info("no work for this worker")
        return EXIT_DONE
    if stop.cause is not None:
        return EXIT_TERMINATED
    structlog.contextvars.bind_contextvars(dispatch_id=assignment.dispatch_id, attempt=assignment.lease.token)
    return run_attempt(StepContext(assignment, Worker(settings, identity, broker, isolation, stop, redactor)))


def _claims(settings: Settings, identity: Identity) -> Callable[[], ClaimRequest]:
    """Return a function that makes a request for work, signed anew as the task's role each time.

    It raises `BrokerError` without the role's credentials.
    """
    session = boto3.Session()

    def request() -> ClaimRequest:
        try:
            credentials = session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise BrokerError(f"there is nothing to sign a claim with: {error}", refused=True) from error
        return ClaimRequest(
            worker_id=identity.worker_id,
            task_arn=identity.task_arn,
            agent=settings.agent,
            revision=identity.revision,
            proof=prove(frozen, session.region_name, settings.environment),
        )

    return request


if __name__ == "__main__":
    sys.exit(main())
