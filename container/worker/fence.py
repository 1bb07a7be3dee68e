"""Whether this worker may still write for its dispatch: what the broker's responses say of the attempt's lease.

A broker that does not respond ends nothing: only its response `live=False`, or a cancel, stops the run.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from outpost.domain.protocol import Assignment, Credentials, LeaseRequest, LeaseResponse, RenewRequest
from worker.broker import BrokerClient, BrokerError
from worker.clock import SYSTEM_CLOCK, Clock
from worker.stop import Cause, Stopped, StopSignal

TRUSTED_SECONDS = 25.0
"""How long a response stands: less than the 30 s after which others may call this worker lost."""

Request = TypeVar("Request", bound=LeaseRequest)
OnCredentials = Callable[[Credentials, Credentials | None], None]


class Fence:
    """Shows the attempt's lease to the broker, and stops the run when it is lost or cancelled; used by many threads."""

    def __init__(
        self,
        broker: BrokerClient,
        assignment: Assignment,
        stop: StopSignal,
        on_credentials: OnCredentials,
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
