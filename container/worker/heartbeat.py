"""Heartbeats: the lease is shown to the broker each 10 s, with what the run is doing and what could not be sent before.

They have short timeouts and wait for no other request.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import structlog

from outpost.domain.protocol import EndedRequest, LeaseRequest, RenewRequest, SavedRequest
from worker.broker import BrokerError
from worker.fence import Fence

HEARTBEAT_SECONDS = 10.0
SPREAD_SECONDS = 1.0
"""How much earlier a heartbeat may come, at random: after an outage all workers send theirs in the same second."""
RETRY_SECONDS = 1.0
"""Between a failed heartbeat and the next."""
RENEW_CREDENTIALS_BEFORE = timedelta(minutes=15)
PROGRESS_LENGTH = 500

_log = structlog.get_logger()


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
