"""The broker, as a worker sees it: one Lambda function, invoked synchronously; and how a worker gets work from it.

Between two requests for work it waits on its agent's queue. It does not leave because broker or queue fail: it would be
replaced by another that fares no better. Only a broker that refuses us for minutes ends the worker.
"""

import json
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from pydantic import BaseModel, ValidationError

from outpost.domain.protocol import Assignment, ClaimRequest, ClaimResponse, LeaseRequest, sha256_of
from worker.clock import SYSTEM_CLOCK, Clock
from worker.stop import Cause, StopSignal

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_sqs import SQSClient

Response = TypeVar("Response", bound=BaseModel)

POLL_SECONDS = 20
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 20.0
"""Between two requests for work: the reconciler calls an idle worker silent that has sent no claim for 90 s."""
REFUSED_SECONDS = 300.0
"""How long a worker retries that may not invoke the broker: rights take effect with a delay."""

_ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=2)
_REQUESTS = _ONE_ATTEMPT.merge(Config(read_timeout=20))
"""Longer than the function may run. A claim whose response is lost is repeated before its lease of 30 s is over."""
_HEARTBEATS = _ONE_ATTEMPT.merge(Config(read_timeout=5))
"""A heartbeat without a response is repeated several times within the lease."""
WAKE_UPS = _ONE_ATTEMPT.merge(Config(read_timeout=POLL_SECONDS + 5))
"""A queue that hangs keeps nobody from asking the broker: an idle worker that does not is called silent after 90 s."""
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "InvalidParameterValueException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)
"""Errors of Invoke that another try changes nothing about, unless rights or names are mended (Lambda API: Invoke,
Common Error Types)."""

_log = structlog.get_logger()


class BrokerError(Exception):
    """The broker did not respond, or failed; the text is its error."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """Whether the function was never reached for want of rights or of its existence, as of now."""


class BrokerClient:
    """Invokes the broker function, once for each call of a method: the caller decides on repetition.

    A claim shows the hash of a secret that the requests after it carry: nobody else can make them.
    """

    def __init__(self, function: str) -> None:
        """`function`: the broker's name. Heartbeats have a client of their own; neither client retries by itself."""
        self._client = boto3.client("lambda", config=_REQUESTS)
        self._heartbeat_client = boto3.client("lambda", config=_HEARTBEATS)
        self._function = function
        self._secret = secrets.token_urlsafe(32)

    def claim(self, request: ClaimRequest) -> ClaimResponse:
        """Ask for work. Raises `BrokerError`."""
        bound = request.model_copy(update={"secret_sha256": sha256_of(self._secret)})
        return self._invoke(self._client, bound, ClaimResponse)

    def send(self, request: LeaseRequest, kind: type[Response], *, fast: bool = False) -> Response:
        """Send a request under a lease; `fast`: within seconds. Raises `BrokerError`."""
        client = self._heartbeat_client if fast else self._client
        return self._invoke(client, request.model_copy(update={"secret": self._secret}), kind)

    def _invoke(self, client: "LambdaClient", request: BaseModel, kind: type[Response]) -> Response:
        try:
            response = client.invoke(FunctionName=self._function, Payload=request.model_dump_json().encode())
            payload = response["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise BrokerError(f"{self._function} did not respond: {error}", refused=_is_refusal(error)) from error
        if "FunctionError" in response:
            raise BrokerError(f"{self._function} failed: {_error_message(payload)}")
        try:
            return kind.model_validate_json(payload)
        except ValidationError as error:
            fields = [".".join(map(str, each["loc"])) for each in error.errors(include_input=False)]
            raise BrokerError(f"{self._function} returned no {kind.__name__}: see {', '.join(fields)}") from None


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in _REFUSALS
    return isinstance(error, NoCredentialsError | ParamValidationError)


def _error_message(payload: bytes) -> str:
    """Return Lambda's own error; the payload is never passed on whole, as it may quote a request."""
    try:
        error = json.loads(payload)
        return f"{error.get('errorType', 'error')}: {str(error.get('errorMessage', ''))[:300]}"
    except (ValueError, AttributeError):
        return "no readable error"


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
