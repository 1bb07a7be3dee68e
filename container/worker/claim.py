"""How a worker comes by work: it asks the broker, and between two questions waits on its agent's queue."""

from typing import TYPE_CHECKING

from outpost.domain.protocol import Assignment, ClaimRequest
from worker.broker import Broker
from worker.stop import Cause, StopSignal

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

POLL_SECONDS = 20


class WakeUps:
    """The agent's queue. A message only says that it may be worth asking; it names no dispatch."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        self._waiting = False

    def wait(self) -> None:
        """Wait for a message, at most 20 s, and take it off the queue."""
        self._waiting = True
        try:
            answer = self._client.receive_message(
                QueueUrl=self._queue_url, WaitTimeSeconds=POLL_SECONDS, MaxNumberOfMessages=1
            )
        finally:
            self._waiting = False
        for message in answer.get("Messages", []):
            self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])

    def interrupt(self) -> None:
        """Leave the process if it waits here: called by the handler of SIGTERM, in the thread that waits."""
        if self._waiting:
            raise SystemExit(0)


def wait_for_work(broker: Broker, wake_ups: WakeUps, request: ClaimRequest, stop: StopSignal) -> Assignment | None:
    """Return an assignment, or None when this worker is to leave. Raises `BrokerError`."""
    while stop.cause is not Cause.TERMINATED:
        answer = broker.claim(request)
        if answer.assignment is not None or answer.retire:
            return answer.assignment
        wake_ups.wait()
    return None
