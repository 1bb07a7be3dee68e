"""The lease of one attempt: shown to the broker each 10 s, and with every step of the run.

A broker that does not respond ends nothing: only its response `live=False`, or a cancel, stops the run. Heartbeats have
short timeouts and wait for no other request. What needs a response, such as the agent's start, is repeated; what needs
none at once, such as its end, is tried once, and then repeated with the heartbeats.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from outpost.domain.protocol import (
    Assignment,
    Credentials,
    EndedRequest,
    ForgeTokenRequest,
    GrantRequest,
    GrantResponse,
    LeaseRequest,
    LeaseResponse,
    RenewRequest,
    ReportRequest,
    ReserveRequest,
    SavedRequest,
    StartedRequest,
)
from worker.broker import Broker, BrokerError
from worker.clock import SYSTEM_CLOCK, Clock
from worker.model_proxy.purse import GrantError
from worker.stop import Cause, Stopped, StopSignal

HEARTBEAT_SECONDS = 10.0
SPREAD_SECONDS = 1.0
"""How much earlier a heartbeat may come, at random: after an outage all workers send theirs in the same second."""
RETRY_SECONDS = 1.0
"""Between a failed heartbeat and the next."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
"""Between two tries of a request that needs a response."""
GRANT_SECONDS = 200.0
"""How long a model call waits for its grant: less than the 300 s after which CLIs give up a call and repeat it."""
RESERVE_SECONDS = 10.0
"""How long reserving room for a workspace is repeated: all that follows a time limit has 120 s."""
RENEW_CREDENTIALS_BEFORE = timedelta(minutes=15)
PROGRESS_LENGTH = 500
TRUSTED_SECONDS = 25.0
"""How long a response stands: less than the 30 s after which others may call this worker lost."""

Response = TypeVar("Response")

_log = structlog.get_logger()


class ForgeTokenError(Exception):
    """Git gets no token of the forge; the text says why."""


class Lease:
    """Keeps the lease alive by its heartbeats, and stops the run when it is lost or cancelled; used by many threads."""

    def __init__(
        self,
        broker: Broker,
        assignment: Assignment,
        stop: StopSignal,
        on_credentials: Callable[[Credentials, Credentials | None], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`on_credentials` is called with new credentials of the attempt, and those for Bedrock where it has some."""
        self._broker = broker
        self._dispatch_id = assignment.dispatch_id
        self._lease = assignment.lease
        self._stop = stop
        self._on_credentials = on_credentials
        self._clock = clock
        self._credentials_end = assignment.credentials.expires_at
        self._asked = self._confirmed = clock.monotonic()
        self._unsent: deque[LeaseRequest] = deque()
        self.progress: str | None = None
        """What the run is doing, for people; sent with each heartbeat."""
        self.cancel_reason: str | None = None
        """Why the client cancelled the run, if it did and said so."""

    def beat(self) -> float:
        """Send a heartbeat, and what could not be sent before. Returns the seconds until the next is due."""
        began = self._clock.monotonic()
        try:
            self._renew()
            self._renew_credentials()
            self._catch_up()
        except BrokerError as error:
            _log.warning("heartbeat failed; the next follows", error=str(error))
            return RETRY_SECONDS
        except Exception:  # noqa: BLE001 - without a next heartbeat the worker would be lost
            _log.exception("heartbeat failed; the next follows")
            return RETRY_SECONDS
        period = HEARTBEAT_SECONDS - self._clock.random() * SPREAD_SECONDS
        return max(RETRY_SECONDS, period - (self._clock.monotonic() - began))

    def started(self) -> None:
        """Send that the agent starts now, until there is a response.

        Raises `Stopped` when the run must end instead, `BrokerError` once the attempt's credentials have ended.
        """
        self._repeat(partial(self._show, StartedRequest(dispatch_id=self._dispatch_id, lease=self._lease)))
        self._stop.check()

    def ended(self, exit_code: int | None) -> None:
        """Send that the agent ended by itself, now or with a later heartbeat. Raises `Stopped`: the lease is lost."""
        self._announce(EndedRequest(dispatch_id=self._dispatch_id, lease=self._lease, exit_code=exit_code))

    def reserve(self, size_bytes: int) -> int | None:
        """Account for the workspace's size before it is written back; return its room when that is too little.

        A broker that does not respond for `RESERVE_SECONDS` refuses nothing: the size then counts once it is saved, and
        nothing of the run waits longer. Raises `Stopped` when the lease is lost.
        """
        request = ReserveRequest(dispatch_id=self._dispatch_id, lease=self._lease, size_bytes=size_bytes)
        try:
            response = self._repeat(partial(self._broker.reserve, request), RESERVE_SECONDS, (Cause.LOST,))
        except BrokerError as error:
            _log.warning("the workspace is written back without the broker's consent", error=str(error))
            return None
        if not response.live:
            self._stop.request(Cause.LOST)
            raise Stopped(Cause.LOST)
        return response.room

    def saved(self, size_bytes: int) -> None:
        """Send that the workspace was written back, as `ended` does. Raises `Stopped` when the lease is lost."""
        self._announce(SavedRequest(dispatch_id=self._dispatch_id, lease=self._lease, size_bytes=size_bytes))

    @property
    def up_to_date(self) -> bool:
        """Whether the broker has all that was sent by `ended` and `saved`."""
        return not self._unsent

    def forge_token(self) -> str | None:
        """Return a token for one call of git, if there is one. Raises `Stopped`, `ForgeTokenError`."""
        request = ForgeTokenRequest(dispatch_id=self._dispatch_id, lease=self._lease)
        try:
            response = self._repeat(partial(self._broker.forge_token, request))
        except BrokerError as error:
            raise ForgeTokenError(str(error)) from error
        if not response.live:
            self._stop.request(Cause.LOST)
        self._stop.check()
        if response.refused is not None:
            raise ForgeTokenError(response.refused)
        return response.token

    def grant(self, micros: int) -> GrantResponse:
        """Return what model calls may cost in total, once `micros` were requested. Raises `GrantError`."""
        request = GrantRequest(dispatch_id=self._dispatch_id, lease=self._lease, micros=micros)
        try:
            response = self._repeat(partial(self._broker.grant, request), GRANT_SECONDS)
        except (BrokerError, Stopped) as error:
            raise GrantError(str(error)) from error
        if not response.live:
            self._stop.request(Cause.LOST)
            raise GrantError("the lease is lost")
        return response

    def give_back(self, spent: int) -> None:
        """Give back what was granted and is not spent: no model call follows. Tries once; raises `GrantError`."""
        request = GrantRequest(dispatch_id=self._dispatch_id, lease=self._lease, micros=spent, final=True)
        try:
            self._broker.grant_quickly(request)
        except BrokerError as error:
            raise GrantError(str(error)) from error

    def report(self, request: ReportRequest, seconds: float | None) -> None:
        """Send the outcome, for `seconds`, or as long as the attempt's credentials live (None); nothing follows.

        Raises `BrokerError` after that, and `Stopped` when the lease is lost or the worker terminated meanwhile.
        """
        response = self._repeat(partial(self._send_report, request), seconds, (Cause.LOST, Cause.TERMINATED))
        _log.info("reported", outcome=request.outcome, reason=request.reason.code, accepted=response.live)

    def check(self) -> None:
        """Raise `Stopped` when this worker may not write any more.

        After a pause of the whole process what is known is old: then the broker is asked once. Does it not respond, the
        write may be made: nobody else writes under the attempt's prefix.
        """
        if self._clock.monotonic() - self._asked > TRUSTED_SECONDS:
            self.confirm()
        elif self._stop.cause is Cause.LOST:
            raise Stopped(Cause.LOST)

    def confirm(self) -> None:
        """Ask the broker once whether this worker may still write. Raises `Stopped` when it may not.

        What was stored before is read by everybody who closes the dispatch later.
        """
        with suppress(BrokerError):
            self._renew()
        if self._stop.cause is Cause.LOST:
            raise Stopped(Cause.LOST)

    def require(self) -> None:
        """Return once the broker confirms the lease, which it may have done just before: for what nothing else fences.

        Raises `Stopped`, and `BrokerError` once the attempt's credentials have ended.
        """
        if self._clock.monotonic() - self._confirmed > TRUSTED_SECONDS:
            self._repeat(self._renew)
        self._stop.check()

    def _renew(self) -> None:
        self._show_quickly(self._renewal())

    def _renewal(self, *, want_credentials: bool = False) -> RenewRequest:
        progress = self.progress  # which other threads set
        return RenewRequest(
            dispatch_id=self._dispatch_id,
            lease=self._lease,
            progress=progress[:PROGRESS_LENGTH] if progress else None,
            want_credentials=want_credentials,
        )

    def _renew_credentials(self) -> None:
        """Get new credentials, where they end soon. That there are none yet is no failure of the heartbeat."""
        if self._credentials_end - self._clock.now() >= RENEW_CREDENTIALS_BEFORE:
            return
        try:
            self._show_quickly(self._renewal(want_credentials=True))
        except BrokerError as error:
            _log.warning("no new credentials; trying again", error=str(error), end=self._credentials_end.isoformat())

    def _announce(self, request: LeaseRequest) -> None:
        self._unsent.append(request)
        self._catch_up()
        self.check()

    def _catch_up(self) -> None:
        """Try once to send what has had no response. That it has none is no failure of the heartbeat."""
        try:
            self._send_unsent()
        except BrokerError as error:
            _log.warning("the agent's end is not sent yet; it follows with the heartbeats", error=str(error))

    def _send_unsent(self) -> None:
        """Send, in their order, what has had no response. The broker takes what comes twice for one."""
        for request in tuple(self._unsent):
            self._show_quickly(request)
            with suppress(ValueError):  # another thread was quicker
                self._unsent.remove(request)

    def _send_report(self, request: ReportRequest) -> LeaseResponse:
        self._send_unsent()
        return self._show(request)

    def _show(self, request: LeaseRequest) -> LeaseResponse:
        return self._take(self._broker.show_lease, request)

    def _show_quickly(self, request: LeaseRequest) -> LeaseResponse:
        return self._take(self._broker.show_lease_quickly, request)

    def _take(self, send: Callable[[LeaseRequest], LeaseResponse], request: LeaseRequest) -> LeaseResponse:
        asked = self._clock.monotonic()
        try:
            response = send(request)
        finally:
            self._asked = max(self._asked, asked)
        if not response.live:
            self._stop.request(Cause.LOST)
            return response
        self._confirmed = max(self._confirmed, asked)
        if response.cancel:
            self.cancel_reason = response.cancel_reason
            self._stop.request(Cause.CANCELLED)
        if response.credentials is not None:
            self._on_credentials(response.credentials, response.bedrock_credentials)
            self._credentials_end = response.credentials.expires_at
        return response

    def _repeat(
        self,
        request: Callable[[], Response],
        seconds: float | None = None,
        stopped_by: tuple[Cause, ...] = tuple(Cause),
    ) -> Response:
        """Make a request until it has a response, for `seconds`, or as long as the attempt's credentials live (None).

        The last request begins no later than after `seconds`. Raises its `BrokerError`, and `Stopped` for these causes.
        """
        began, pauses = self._clock.monotonic(), self._clock.backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return request()
            except BrokerError as error:
                lasted = self._clock.monotonic() - began
                if (self._clock.now() >= self._credentials_end) if seconds is None else (lasted >= seconds):
                    raise
                _log.warning("the broker does not respond; trying again", error=str(error))
            pause = next(pauses)
            self._clock.sleep(pause if seconds is None else min(pause, seconds - lasted))
            if self._stop.cause in stopped_by:
                raise Stopped(self._stop.cause)


def send_heartbeats(wait: Callable[[float], bool], beat: Callable[[], float]) -> None:
    """Call `beat` at once, and again after the seconds that it returns, until `wait` for them returns True."""
    pause = 0.0
    while not wait(pause):
        pause = beat()


@contextmanager
def heartbeats(lease: Lease) -> Iterator[None]:
    """Send heartbeats on a thread of their own while the block lasts."""
    closed = threading.Event()
    threading.Thread(target=send_heartbeats, args=(closed.wait, lease.beat), name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        closed.set()
