"""The attempt's lease: heartbeats show it to the broker, whose responses say whether this worker may still write.

A broker that does not respond ends nothing: only its response `live=False`, or a cancel, stops the run. Heartbeats come
each 10 s, with what the run is doing and what could not be sent before; they have short timeouts and wait for no
other request.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import structlog

from outpost.domain.protocol import (
    Assignment,
    Credentials,
    EndedRequest,
    LeaseRequest,
    LeaseResponse,
    RenewRequest,
    SavedRequest,
)
from worker.broker import BrokerClient, BrokerError
from worker.clock import SYSTEM_CLOCK, Clock
from worker.stop import Cause, Stopped, StopSignal

TRUSTED_SECONDS = 25.0
"""How long a response stands: less than the 30 s after which others may call this worker lost."""
HEARTBEAT_SECONDS = 10.0
SPREAD_SECONDS = 1.0
"""How much earlier a heartbeat may come, at random: after an outage all workers send theirs in the same second."""
RETRY_SECONDS = 1.0
"""Between a failed heartbeat and the next."""
RENEW_CREDENTIALS_BEFORE = timedelta(minutes=15)
PROGRESS_LENGTH = 500

_log = structlog.get_logger()
Request = TypeVar("Request", bound=LeaseRequest)


class Fence:
    """Shows the attempt's lease to the broker, and stops the run when it is lost or cancelled; used by many threads."""

    def __init__(
        self,
        broker: BrokerClient,
        assignment: Assignment,
        stop: StopSignal,
        on_credentials: Callable[[Credentials, Credentials | None], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`on_credentials` is called with new credentials of the attempt, and those for Bedrock where it has some."""
        self.broker = broker
        self.stop = stop
        self.clock = clock
        self.credentials_end = assignment.credentials.expires_at
        self.cancel_reason: str | None = None
        """Why the client cancelled the run, if it did and gave a reason."""
        self._assignment = assignment
        self._on_credentials = on_credentials
        self._asked = self._confirmed = clock.monotonic()

    def request(self, kind: type[Request], **fields: object) -> Request:
        """Return a request under the lease."""
        return kind(dispatch_id=self._assignment.dispatch_id, lease=self._assignment.lease, **fields)

    def send(self, request: LeaseRequest, *, fast: bool = False) -> LeaseResponse:
        """Send a request once, and apply its response; `fast`: within seconds. Raises `BrokerError`."""
        asked = self.clock.monotonic()
        try:
            response = self.broker.send(request, LeaseResponse, fast=fast)
        finally:
            self._asked = max(self._asked, asked)
        if not response.live:
            self.stop.request(Cause.LOST)
            return response
        self._confirmed = max(self._confirmed, asked)
        if response.cancel:
            self.cancel_reason = response.cancel_reason
            self.stop.request(Cause.CANCELLED)
        if response.credentials is not None:
            self._on_credentials(response.credentials, response.bedrock_credentials)
            self.credentials_end = response.credentials.expires_at
        return response

    @property
    def is_confirmed(self) -> bool:
        """Whether a response that the lease is live still stands."""
        return self.clock.monotonic() - self._confirmed <= TRUSTED_SECONDS

    def check(self) -> None:
        """Raise `Stopped` when this worker may not write any more.

        After a pause of the whole process what is known is old: then the broker is asked once. Does it not respond, the
        write may be made: nobody else writes under the attempt's prefix.
        """
        if self.clock.monotonic() - self._asked > TRUSTED_SECONDS:
            self.confirm()
        elif self.stop.cause is Cause.LOST:
            raise Stopped(Cause.LOST)

    def confirm(self) -> None:
        """Ask the broker once whether this worker may still write. Raises `Stopped` when it may not.

        What was stored before is read by everybody who closes the dispatch later.
        """
        with suppress(BrokerError):
            self.send(self.request(RenewRequest), fast=True)
        if self.stop.cause is Cause.LOST:
            raise Stopped(Cause.LOST)


class Heartbeat:
    """Sends heartbeats, and what needs no response at once; used by many threads."""

    def __init__(self, fence: Fence, progress: Callable[[], str | None]) -> None:
        """`progress` returns what the run is doing, for people."""
        self._fence = fence
        self._progress = progress
        self._unsent: deque[LeaseRequest] = deque()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send heartbeats on a thread of their own while the block lasts."""
        closed = threading.Event()
        threading.Thread(target=send_heartbeats, args=(closed.wait, self.beat), name="heartbeat", daemon=True).start()
        try:
            yield
        finally:
            closed.set()

    def beat(self) -> float:
        """Send a heartbeat, and what could not be sent before. Returns the seconds until the next is due."""
        clock = self._fence.clock
        began = clock.monotonic()
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
        period = HEARTBEAT_SECONDS - clock.random() * SPREAD_SECONDS
        return max(RETRY_SECONDS, period - (clock.monotonic() - began))

    def ended(self, exit_code: int | None) -> None:
        """Send that the agent ended by itself, now or with a later heartbeat. Raises `Stopped`: the lease is lost."""
        self._announce(self._fence.request(EndedRequest, exit_code=exit_code))

    def saved(self, size_bytes: int) -> None:
        """Send that the workspace was written back, as `ended` does. Raises `Stopped` when the lease is lost."""
        self._announce(self._fence.request(SavedRequest, size_bytes=size_bytes))

    @property
    def is_up_to_date(self) -> bool:
        """Whether the broker has all that was sent by `ended` and `saved`."""
        return not self._unsent

    def send_unsent(self) -> None:
        """Send in order what had no response; the broker takes what comes twice for one. Raises `BrokerError`."""
        for request in tuple(self._unsent):
            self._fence.send(request, fast=True)
            with suppress(ValueError):  # another thread was quicker
                self._unsent.remove(request)

    def _announce(self, request: LeaseRequest) -> None:
        self._unsent.append(request)
        self._catch_up()
        self._fence.check()

    def _catch_up(self) -> None:
        """Try once to send what has had no response. That it has none is no failure of the heartbeat."""
        try:
            self.send_unsent()
        except BrokerError as error:
            _log.warning("the agent's end is not sent yet; it follows with the heartbeats", error=str(error))

    def _renew(self, *, want_credentials: bool = False) -> None:
        progress = (self._progress() or "")[:PROGRESS_LENGTH] or None
        request = self._fence.request(RenewRequest, progress=progress, want_credentials=want_credentials)
        self._fence.send(request, fast=True)

    def _renew_credentials(self) -> None:
        """Get new credentials, where they end soon. That there are none yet is no failure of the heartbeat."""
        end = self._fence.credentials_end
        if end - self._fence.clock.now() >= RENEW_CREDENTIALS_BEFORE:
            return
        try:
            self._renew(want_credentials=True)
        except BrokerError as error:
            _log.warning("no new credentials; trying again", error=str(error), end=end.isoformat())


def send_heartbeats(wait: Callable[[float], bool], beat: Callable[[], float]) -> None:
    """Call `beat` at once, and again after the seconds that it returns, until `wait` for them returns True."""
    pause = 0.0
    while not wait(pause):
        pause = beat()
