"""The boundary: what the code takes for boto3's clients. Each call is a switch point, at which faults strike.

The client's own tries are those of the configuration that the code gives: a response that is lost makes the client
write twice. Transactions keep their token over the tries, as botocore's do.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.simulation.coverage import AWAY, WHOLE
from tests.simulation.errors import client_error, is_retried, no_response, unreachable
from tests.simulation.faults import WRITES, Cut, Faults
from tests.simulation.scheduler import Host, Scheduler

THROTTLES = {
    "dynamodb": "ThrottlingException",
    "ecs": "ThrottlingException",
    "events": "ThrottlingException",
    "lambda": "TooManyRequestsException",
    "s3": "SlowDown",
    "sqs": "RequestThrottled",
    "sts": "Throttling",
}
FROZEN_SECONDS = (35.0, 50.0, 90.0)


class Call(NamedTuple):
    """One try of a request."""

    host: Host
    service: str
    operation: str
    read_timeout: float


class Recorded(NamedTuple):
    """A request that reached its service, and the response or error."""

    service: str
    operation: str
    request: dict[str, Any]
    response: dict[str, Any] | ClientError
    function: str
    """Which function sent it, if one did."""


Operation = Callable[[dict[str, Any], Call], dict[str, Any]]


class Boundary:
    """Takes every request to the services, and cuts some."""

    def __init__(self, scheduler: Scheduler, faults: Faults, state_of: Callable[[str | None], str]) -> None:
        self._scheduler = scheduler
        self._faults = faults
        self._state_of = state_of
        self.operations: dict[str, dict[str, Operation]] = {}
        self.met: Counter[tuple[str, str, str]] = Counter()
        """Calls by operation, cut and state of the dispatch."""
        self.log: Callable[[str], None] | None = None
        self.recorded: list[Recorded] | None = None
        self._tokens = 0

    def client(self, service: str, config: Config | None = None, **_: object) -> "Client":
        """Return a client, as `boto3.client` does."""
        return Client(self, service, config)

    def request(self, service: str, operation: str, request: dict[str, Any], tries: int, timeout: float) -> Any:  # noqa: ANN401
        """Send a request, as often as the client does. Raises botocore's errors."""
        host = self._scheduler.process().host
        if operation == "transact_write_items" and "ClientRequestToken" not in request:
            self._tokens += 1
            request = request | {"ClientRequestToken": str(self._tokens)}
        sticky: Cut | None = None
        for attempt in range(1, tries + 1):
            host.calls += 1
            cut = sticky or self._faults.cut(host, service, operation, self._scheduler.now)
            if cut and sticky is None and host.random.random() < self._faults.sticky:
                sticky = cut
            try:
                return self._try(Call(host, service, operation, timeout), request, cut)
            except (BotoCoreError, ClientError) as error:
                if attempt == tries or not is_retried(error):
                    raise
            self._scheduler.wait(host.random.uniform(0, 0.1 * 2**attempt))
        raise AssertionError("a client tries at least once")

    def _try(self, call: Call, request: dict[str, Any], cut: Cut | None) -> dict[str, Any]:
        operation = f"{call.service}.{call.operation}"
        self.met[operation, cut or WHOLE, self._state_of(call.host.about)] += 1
        if cut and self.log:
            self.log(f"{operation} is cut: {cut}")
        self._delay(call, cut)
        if why := self._unreachable(call):
            self.met[operation, AWAY, self._state_of(call.host.about)] += 1
            self._faults.meet(why, call.host)
            self._scheduler.wait(call.host.random.uniform(0.1, 2.0))
            raise unreachable(call.service)
        if cut:
            self._refuse(call, cut)
        response = self._apply(call, request)
        if cut is Cut.DIED_AFTER:
            self._scheduler.kill(call.host)
            self._scheduler.wait(0)
        if cut is Cut.LOST:
            self._scheduler.wait(call.read_timeout)
            raise no_response(call.service)
        return response

    def _unreachable(self, call: Call) -> str | None:
        """Return the fault by which the service cannot be reached now, None: it can."""
        begun, end = call.host.cut_off
        if begun <= self._scheduler.now < end:
            return "task is cut off"
        down = self._faults.is_down(call.service, self._scheduler.now)
        return f"outage of {call.service}" if down else None

    def _delay(self, call: Call, cut: Cut | None) -> None:
        draw = call.host.random
        if cut is Cut.DIED_BEFORE:
            self._scheduler.kill(call.host)
        if cut is Cut.FROZEN:
            self._scheduler.freeze(call.host, draw.choice(FROZEN_SECONDS))
        self._scheduler.wait(draw.uniform(0.3, 12.0) if cut is Cut.SLOW else draw.uniform(0.002, 0.015))

    def _refuse(self, call: Call, cut: Cut) -> None:
        if cut is Cut.REFUSED:
            raise unreachable(call.service)
        if cut is Cut.THROTTLED:
            raise client_error(call.operation, THROTTLES.get(call.service, "ThrottlingException"), "Rate exceeded")
        if cut is Cut.CONFLICT and call.operation in WRITES:
            raise _conflict(call.operation)

    def _apply(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        operation = self.operations[call.service][call.operation]
        if self.recorded is None:
            return operation(request, call)
        if hasattr(request.get("Body"), "read"):
            request = request | {"Body": request["Body"].read()}
        try:
            response = operation(request, call)
        except ClientError as error:
            self.recorded.append(Recorded(call.service, call.operation, request, error, call.host.function))
            raise
        self.recorded.append(Recorded(call.service, call.operation, request, response, call.host.function))
        return response


def _conflict(operation: str) -> ClientError:
    if operation == "transact_write_items":
        reasons = [{"Code": "TransactionConflict"}]
        return client_error(operation, "TransactionCanceledException", CancellationReasons=reasons)
    if operation == "put_object":
        return client_error(operation, "ConditionalRequestConflict", status=409)
    return client_error(operation, "TransactionConflictException")


class Client:
    """A client of one service; its methods are the service's operations."""

    def __init__(self, boundary: Boundary, service: str, config: Config | None) -> None:
        self._boundary = boundary
        self._service = service
        settings: Any = config
        retries = getattr(settings, "retries", None) or {}
        self._tries = int(retries.get("total_max_attempts", 3))
        self._timeout = float(getattr(settings, "read_timeout", None) or 60)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_") or operation not in self._boundary.operations[self._service]:
            raise AttributeError(f"the fake {self._service} has no {operation}")

        def method(**request: Any) -> Any:  # noqa: ANN401 - boto3's
            return self._boundary.request(self._service, operation, request, self._tries, self._timeout)

        self.__dict__[operation] = method
        return method

    def get_paginator(self, operation: str) -> "Paginator":
        """Return what asks for page after page."""
        return Paginator(getattr(self, operation))


@dataclass(frozen=True)
class Paginator:
    """Pages of a list; the fakes of these operations have one."""

    method: Callable[..., Any]

    def paginate(self, **request: Any) -> Iterator[Any]:  # noqa: ANN401 - boto3's
        yield self.method(**request)
