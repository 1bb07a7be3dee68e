"""How a worker gets work: it asks the broker, and between two requests waits on its agent's queue.

It does not leave because broker or queue fail: it would be replaced by another that fares no better. A queue that fails
is replaced by asking the broker now and then. Only a broker that refuses us for minutes ends the worker.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.protocol import Assignment, ClaimRequest
from worker.broker import BrokerClient, BrokerError
from worker.clock import SYSTEM_CLOCK, Clock
from worker.stop import Cause, StopSignal

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

POLL_SECONDS = 20
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 20.0
"""Between two requests for work: the reconciler calls an idle worker silent that has sent no claim for 90 s."""
REFUSED_SECONDS = 300.0
"""How long a worker retries that may not invoke the broker: rights take effect with a delay."""

_log = structlog.get_logger()


class WakeUps:
    """The agent's queue. A message only says that it may be worth asking; it names no dispatch."""

    def __init__(self, client: "SQSClient", queue_url: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._queue_url = queue_url
        self._clock = clock
        self._pauses = clock.backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._waiting = False

    def wait(self) -> None:
        """Wait for a message and take it off the queue; at most 20 s, also when the queue cannot be read."""
        self._waiting = True
        try:
            response = self._client.receive_message(
                QueueUrl=self._queue_url, WaitTimeSeconds=POLL_SECONDS, MaxNumberOfMessages=1
            )
        except (BotoCoreError, ClientError) as error:
            _log.warning("the queue cannot be read; asking the broker without a wake-up", error=str(error))
            self._clock.sleep(next(self._pauses))
            return
        finally:
            self._waiting = False
        self._pauses = self._clock.backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for message in response.get("Messages", []):
            try:
                self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
            except (BotoCoreError, ClientError) as error:  # it wakes another worker in vain
                _log.warning("a wake-up was not deleted", error=str(error))

    def pause(self, seconds: float) -> None:
        """Wait without looking at the queue: its messages are for workers that can reach the broker."""
        self._waiting = True
        try:
            self._clock.sleep(seconds)
        finally:
            self._waiting = False

    def interrupt(self) -> None:
        """Leave the process if it waits here: called by the handler of SIGTERM, in the thread that waits."""
        if self._waiting:
            raise SystemExit(0)


def wait_for_work(
    broker: BrokerClient,
    wake_ups: WakeUps,
    request: Callable[[], ClaimRequest],
    stop: StopSignal,
    clock: Clock = SYSTEM_CLOCK,
) -> Assignment | None:
    """Return an assignment, or None when this worker is to leave. `request` makes a request with a new proof.

    Raises `BrokerError` once the worker has been refused for `REFUSED_SECONDS` without any other response.
    """
    pauses = clock.backoff(FIRST_PAUSE, LONGEST_PAUSE)
    refused_since: float | None = None
    while stop.cause is not Cause.TERMINATED:
        try:
            response = broker.claim(request())
        except BrokerError as error:
            asked_at = clock.monotonic()
            if not error.refused:
                refused_since = None
            elif refused_since is None:
                refused_since = asked_at
            elif asked_at - refused_since >= REFUSED_SECONDS:
                raise
            _log.warning("the claim failed; trying again", error=str(error))
            wake_ups.pause(next(pauses))
            continue
        if response.assignment is not None or response.retire:
            return response.assignment
        pauses, refused_since = clock.backoff(FIRST_PAUSE, LONGEST_PAUSE), None
        wake_ups.wait()
    return None
