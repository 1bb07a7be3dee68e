"""Calls under the attempt's lease that need a response: each is repeated until its own deadline."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from outpost.domain.protocol import (
    ForgeTokenRequest,
    ForgeTokenResponse,
    GrantRequest,
    GrantResponse,
    LeaseRequest,
    RenewRequest,
    ReportRequest,
    ReserveRequest,
    ReserveResponse,
    StartedRequest,
)
from worker.broker import BrokerError
from worker.lease import Fence, Heartbeat
from worker.model_proxy.meter import GrantError
from worker.stop import Cause, Stopped

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
"""Between two tries."""
GRANT_SECONDS = 200.0
"""How long a model call waits for its grant: less than the 300 s after which CLIs give up a call and repeat it."""
RESERVE_SECONDS = 10.0
"""How long reserving room for a workspace is repeated: all that follows a time limit has 120 s."""

Result = TypeVar("Result")
Response = TypeVar("Response", ForgeTokenResponse, GrantResponse, ReserveResponse)

_log = structlog.get_logger()


class ForgeTokenError(Exception):
    """Git gets no token of the forge; the text says why."""


class LeaseCalls:
    """Calls the broker for one attempt; used by many threads."""

    def __init__(self, fence: Fence, heartbeat: Heartbeat) -> None:
        self._fence = fence
        self._heartbeat = heartbeat

    def started(self) -> None:
        """Send that the agent starts now, until there is a response.

        Raises `Stopped` when the run must end instead, `BrokerError` once the attempt's credentials have ended.
        """
        self._repeat(partial(self._fence.send, self._fence.request(StartedRequest)))
        self._fence.stop.check()

    def reserve(self, size_bytes: int) -> int | None:
        """Account for the workspace's size before it is written back; return its room when that is too little.

        A broker that does not respond for `RESERVE_SECONDS` refuses nothing: the size then counts once it is saved, and
        nothing of the run waits longer. Raises `Stopped` when the lease is lost.
        """
        request = self._fence.request(ReserveRequest, size_bytes=size_bytes)
        try:
            return self._call(request, ReserveResponse, RESERVE_SECONDS, (Cause.LOST,), fast=True).room
        except BrokerError as error:
            _log.warning("the workspace is written back without the broker's consent", error=str(error))
            return None

    def forge_token(self) -> str | None:
        """Return a token for one call of git, if there is one. Raises `Stopped`, `ForgeTokenError`."""
        try:
            response = self._call(self._fence.request(ForgeTokenRequest), ForgeTokenResponse)
        except BrokerError as error:
            raise ForgeTokenError(str(error)) from error
        self._fence.stop.check()
        if response.refused is not None:
            raise ForgeTokenError(response.refused)
        return response.token

    def grant(self, micros: int) -> GrantResponse:
        """Return what model calls may cost in total, once `micros` were requested. Raises `GrantError`."""
        try:
            return self._call(self._fence.request(GrantRequest, micros=micros), GrantResponse, GRANT_SECONDS)
        except BrokerError as error:
            raise GrantError(str(error)) from error
        except Stopped as stopped:
            raise GrantError(f"this attempt is {stopped.cause.value}") from stopped

    def give_back(self, spent: int) -> None:
        """Give back what was granted and is not spent: no model call follows. Tries once; raises `BrokerError`."""
        request = self._fence.request(GrantRequest, micros=spent, final=True)
        self._fence.broker.send(request, GrantResponse, fast=True)

    def report(self, request: ReportRequest, seconds: float | None) -> None:
        """Send the outcome, for `seconds`, or as long as the attempt's credentials live (None); nothing follows.

        Raises `BrokerError` after that, and `Stopped` when the lease is lost or the worker terminated meanwhile.
        """

        def send() -> bool:
            self._heartbeat.send_unsent()
            return self._fence.send(request).live

        accepted = self._repeat(send, seconds, (Cause.LOST, Cause.TERMINATED))
        _log.info("reported", outcome=request.outcome, reason=request.reason.code, accepted=accepted)

    def require(self) -> None:
        """Return once the broker confirms the lease, which it may have done just before: for what nothing else fences.

        Raises `Stopped`, and `BrokerError` once the attempt's credentials have ended.
        """
        if not self._fence.is_confirmed:
            self._repeat(partial(self._fence.send, self._fence.request(RenewRequest), fast=True))
        self._fence.stop.check()

    def _call(
        self,
        request: LeaseRequest,
        kind: type[Response],
        seconds: float | None = None,
        stopped_by: tuple[Cause, ...] = tuple(Cause),
        *,
        fast: bool = False,
    ) -> Response:
        """As `_repeat`, for one request. Raises `Stopped` when the response is that the lease is lost as well."""
        response = self._repeat(partial(self._fence.broker.send, request, kind, fast=fast), seconds, stopped_by)
        if not response.live:
            self._fence.stop.request(Cause.LOST)
            raise Stopped(Cause.LOST)
        return response

    def _repeat(
        self,
        call: Callable[[], Result],
        seconds: float | None = None,
        stopped_by: tuple[Cause, ...] = tuple(Cause),
    ) -> Result:
        """Call the broker until it responds, for `seconds`, or as long as the attempt's credentials live (None).

        The last call begins no later than after `seconds`. Raises its `BrokerError`, and `Stopped` for these causes.
        """
        clock, stop = self._fence.clock, self._fence.stop
        began, pauses = clock.monotonic(), clock.backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return call()
            except BrokerError as error:
                lasted = clock.monotonic() - began
                if (clock.now() >= self._fence.credentials_end) if seconds is None else (lasted >= seconds):
                    raise
                _log.warning("the broker does not respond; trying again", error=str(error))
            pause = next(pauses)
            clock.sleep(pause if seconds is None else min(pause, seconds - lasted))
            if stop.cause in stopped_by:
                raise Stopped(stop.cause)
