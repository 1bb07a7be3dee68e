"""What the planner must remember between runs: what it is about to launch, what failed, and how far it has read."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from outpost.domain.agents import Agent
from outpost.domain.launches import LAUNCH_BURST, LONGEST_PAUSE, Intent, LaunchFailure, LaunchRate, count_failure
from outpost.domain.reasons import ReasonCode
from outpost.store import keys
from outpost.store.database import ConflictError, Database, Item, put_write, to_attributes
from outpost.store.planner_lock import Term

_KEPT = timedelta(days=1)
_RACES = 5
"""Lost compare-and-sets before giving up: writers are the planner and the ends of workers."""


class Launches:
    """The planner's items in the workers table. Each write may be repeated after its response was lost."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def rate(self, at: datetime) -> LaunchRate:
        """Read the launch rate's bucket, refilled; full when nothing was launched yet."""
        item = self._db.get(self._db.workers, *keys.LAUNCH_RATE)
        known = LaunchRate.model_validate_json(item["document"]) if item else None
        return known.at(at) if known else LaunchRate(tokens=LAUNCH_BURST, counted_at=at)

    def keep_rate(self, rate: LaunchRate) -> None:
        """Write the bucket."""
        self._db.put(self._db.workers, _rate_item(rate))

    def cursor(self) -> str:
        """Return the tenant at which the last walk through the queues stopped; empty at first."""
        item = self._db.get(self._db.workers, *keys.DEMAND_CURSOR)
        return str(item["tenant_id"]) if item else ""

    def keep_cursor(self, tenant_id: str) -> None:
        """Write where a walk through the queues stopped."""
        self._db.put(self._db.workers, keys.DEMAND_CURSOR.item(tenant_id=tenant_id))

    def intend(self, intent: Intent, rate: LaunchRate, term: Term) -> None:
        """Write an intent and the bucket that is left, before RunTask. Raises `LockLostError`: then do not call it."""
        key, expiry = keys.intent(intent.agent, intent.batch_id), int((intent.launched_at + _KEPT).timestamp())
        item = key.item(document=intent.model_dump_json(), expires_at=expiry)
        term.write([put_write(self._db.workers, to_attributes(each)) for each in (item, _rate_item(rate))])

    def intents(self, agent: Agent) -> Iterator[Intent]:
        """Yield the intents whose tasks are not all written down as workers yet."""
        values = keys.launch_failure(agent)._asdict()
        for item in self._db.query(self._db.workers, "pk = :pk AND sk < :sk", values):
            yield Intent.model_validate_json(item["document"])

    def settle(self, intent: Intent) -> None:
        """Remove an intent: its tasks are written down as workers, or RunTask refused it."""
        self._db.delete(self._db.workers, *keys.intent(intent.agent, intent.batch_id))

    def failed(self, agent: Agent, failure: LaunchFailure, at: datetime) -> None:
        """Count a failure to launch that is seen at `at`; failures in a row make the planner pause ever longer.

        One that happened longer ago than the longest pause pauses nothing: launches have been tried since.
        """
        if at - failure.failed_at >= LONGEST_PAUSE:
            return
        failure = failure.model_copy(update={"failed_at": min(failure.failed_at, at)})
        for _ in range(_RACES):
            document = self._failure_document(agent)
            earlier = LaunchFailure.model_validate_json(document) if document else None
            if self._replace_failure(agent, document, count_failure(earlier, failure)):
                return

    def _replace_failure(self, agent: Agent, document: str | None, failure: LaunchFailure) -> bool:
        """Write a failure in place of the one that `document` holds; return whether that was still the latest."""
        expiry = int((failure.failed_at + _KEPT).timestamp())
        item = keys.launch_failure(agent).item(document=failure.model_dump_json(), expires_at=expiry)
        try:
            if document is None:
                self._db.put(self._db.workers, item, "attribute_not_exists(pk)")
            else:
                self._db.put(self._db.workers, item, "document = :old", old=document)
        except ConflictError:
            return False
        return True

    def failure(self, agent: Agent) -> LaunchFailure | None:
        """Read the latest failure to launch since a launch last worked, or None."""
        document = self._failure_document(agent)
        return LaunchFailure.model_validate_json(document) if document else None

    def _failure_document(self, agent: Agent) -> str | None:
        item = self._db.get(self._db.workers, *keys.launch_failure(agent))
        return str(item["document"]) if item else None

    def succeeded(self, agent: Agent, launched_at: datetime) -> None:
        """A task launched then works: forget a failure that is not younger."""
        self._forget(agent, lambda failure: launched_at >= failure.launched_at)

    def accepted(self, agent: Agent) -> None:
        """RunTask found room: forget that there was none. Whether the task then starts, another failure may say."""
        self._forget(agent, lambda failure: failure.reason.code is ReasonCode.CAPACITY_UNAVAILABLE)

    def _forget(self, agent: Agent, disproved: Callable[[LaunchFailure], bool]) -> None:
        """Delete the failure if it is disproved; one that is written at the same time stays."""
        document = self._failure_document(agent)
        if document is None or not disproved(LaunchFailure.model_validate_json(document)):
            return
        with suppress(ConflictError):
            self._db.delete(self._db.workers, *keys.launch_failure(agent), "document = :old", old=document)


def _rate_item(rate: LaunchRate) -> Item:
    return keys.LAUNCH_RATE.item(document=rate.model_dump_json())
