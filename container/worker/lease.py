"""The lease of one attempt: shown to the broker each 10 s, and with every step of the run."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

import structlog

from outpost.domain.collection import Collection
from outpost.domain.dispatch import Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.ids import now
from outpost.domain.protocol import (
    Assignment,
    Credentials,
    EndedRequest,
    ForgeTokenRequest,
    GrantAnswer,
    GrantRequest,
    RenewRequest,
    ReportRequest,
    SavedRequest,
    StartedRequest,
)
from outpost.domain.reasons import Reason
from worker.broker import Broker, BrokerError, LeaseRequest
from worker.dollars import GrantError
from worker.stop import Cause, Stopped, StopSignal

HEARTBEAT_SECONDS = 10.0
RENEW_CREDENTIALS_BEFORE = timedelta(minutes=15)
PROGRESS_LENGTH = 500
TRUSTED_SECONDS = 25.0
"""How long an answer stands: less than the 30 s after which others may call this worker lost."""

_log = structlog.get_logger()


class ForgeTokenError(Exception):
    """Git gets no token of the forge; the text says why."""


class Lease:
    """Keeps the lease alive on a thread of its own, and stops the run when it is lost or cancelled."""

    def __init__(
        self,
        broker: Broker,
        assignment: Assignment,
        stop: StopSignal,
        on_credentials: Callable[[Credentials, Credentials | None], None],
    ) -> None:
        """`on_credentials` is called with new credentials of the attempt, and those for Bedrock where it has some."""
        self._broker = broker
        self._dispatch_id = assignment.dispatch_id
        self._lease = assignment.lease
        self._stop = stop
        self._on_credentials = on_credentials
        self._credentials_end = assignment.credentials.expires_at
        self._confirmed = time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_closed, name="heartbeat", daemon=True)
        self.progress: str | None = None
        """What the run is doing, for people; sent with each heartbeat."""

    def __enter__(self) -> "Lease":
        """Start the heartbeat."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the heartbeat."""
        self._closed.set()

    def started(self) -> None:
        """The agent starts now. Raises `Stopped` when the run must end instead, `BrokerError`."""
        self._show(StartedRequest(dispatch_id=self._dispatch_id, lease=self._lease))
        self._stop.check()

    def ended(self, exit_code: int | None) -> None:
        """The agent ended by itself. Raises `Stopped` when the lease is lost, `BrokerError`."""
        self._show(EndedRequest(dispatch_id=self._dispatch_id, lease=self._lease, exit_code=exit_code))
        self.check()

    def saved(self, size_bytes: int) -> None:
        """The workspace was written back. Raises `Stopped` when the lease is lost, `BrokerError`."""
        self._show(SavedRequest(dispatch_id=self._dispatch_id, lease=self._lease, size_bytes=size_bytes))
        self.check()

    def forge_token(self) -> str | None:
        """Return a token for one call of git, if there is one. Raises `Stopped`, `ForgeTokenError`."""
        try:
            answer = self._broker.forge_token(ForgeTokenRequest(dispatch_id=self._dispatch_id, lease=self._lease))
        except BrokerError as error:
            raise ForgeTokenError(str(error)) from error
        if not answer.live:
            self._stop.request(Cause.LOST)
        self._stop.check()
        if answer.refused is not None:
            raise ForgeTokenError(answer.refused)
        return answer.token

    def grant(self, micros: int) -> GrantAnswer:
        """Return what model calls may cost in total, once `micros` were requested. Raises `GrantError`."""
        return self._grant(GrantRequest(dispatch_id=self._dispatch_id, lease=self._lease, micros=micros))

    def give_back(self, spent: int) -> None:
        """Give back what was granted and is not spent: no model call follows. Raises `GrantError`."""
        self._grant(GrantRequest(dispatch_id=self._dispatch_id, lease=self._lease, micros=spent, final=True))

    def _grant(self, request: GrantRequest) -> GrantAnswer:
        try:
            response = self._broker.grant(request)
        except BrokerError as error:
            raise GrantError(str(error)) from error
        if not response.live:
            self._stop.request(Cause.LOST)
            raise GrantError("the lease is lost")
        return response

    def report(
        self,
        outcome: Status,
        reason: Reason,
        exit_code: int | None,
        usage: Usage,
        log_tail: str | None,
        findings: Findings | None,
        collection: Collection | None,
    ) -> None:
        """Tell the outcome; nothing follows. Raises `BrokerError`."""
        request = ReportRequest(
            dispatch_id=self._dispatch_id,
            lease=self._lease,
            outcome=outcome,
            reason=reason,
            exit_code=exit_code,
            usage=usage,
            log_tail=log_tail,
            findings=findings,
            collection=collection,
        )
        self._closed.set()
        with self._lock:
            answer = self._broker.show_lease(request)
        _log.info("reported", outcome=outcome, reason=reason.code, accepted=answer.live)

    def check(self) -> None:
        """Raise `Stopped` unless this worker may write, asking the broker when its last answer is old.

        After a pause of the whole process the last answer is old: then the broker is asked before anything is written.
        """
        if time.monotonic() - self._confirmed > TRUSTED_SECONDS:
            self._renew()
        if self._stop.cause is Cause.LOST:
            raise Stopped(Cause.LOST)

    def confirm(self) -> None:
        """Ask the broker whether this worker may still write. Raises `Stopped`, and `BrokerError` as `check` does.

        What was stored before is read by everybody who closes the dispatch later.
        """
        with suppress(BrokerError):
            self._renew()
        self.check()

    def _beat_until_closed(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            try:
                self._renew()
            except BrokerError as error:
                _log.warning("heartbeat failed; the next follows", error=str(error))

    def _renew(self) -> None:
        self._show(
            RenewRequest(
                dispatch_id=self._dispatch_id,
                lease=self._lease,
                progress=self.progress[:PROGRESS_LENGTH] if self.progress else None,
                want_credentials=self._credentials_end - now() < RENEW_CREDENTIALS_BEFORE,
            ),
        )

    def _show(self, request: LeaseRequest) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            asked_at = time.monotonic()
            answer = self._broker.show_lease(request)
            if not answer.live:
                self._stop.request(Cause.LOST)
                return
            self._confirmed = asked_at
            if answer.cancel:
                self._stop.request(Cause.CANCELLED)
            if answer.credentials is not None:
                self._on_credentials(answer.credentials, answer.bedrock_credentials)
                self._credentials_end = answer.credentials.expires_at
