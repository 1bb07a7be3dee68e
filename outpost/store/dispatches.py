"""Dispatches: created in one transaction, changed only by compare-and-set through the lifecycle."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import Event, TransitionError, apply
from outpost.store import keys
from outpost.store.database import (
    ConflictError,
    ContentionError,
    Database,
    Write,
    check_write,
    delete_write,
    put_write,
    to_attributes,
    update_write,
)
from outpost.store.dispatch_rows import DispatchRows, UnknownDispatchError
from outpost.store.rows import items_of, queue_entry, queue_entry_key
from outpost.store.slots import following_slot
from outpost.store.workspaces import giving_back

MAX_RACES = 10
"""Lost compare-and-sets before giving up: a row has at most four writers."""
SHARDS = 16
"""Of the count of a tenant's day. Transactions that write the same item refuse each other, so each shard has its share
of the limit: dispatches of a tenant at the same moment seldom meet, and together the shards never admit more."""
IDEMPOTENCY_HOURS = 24
POSTPONED = timedelta(seconds=5)
LONGEST_POSTPONED = timedelta(seconds=60)
"""For how long a dispatch that cannot be prepared is left alone: the first time, and at most."""


class DailyLimitError(Exception):
    """The tenant has used its dispatches of the day."""


class IdempotencyConflictError(Exception):
    """The idempotency key was used with another body."""


class WorkspaceTakenError(Exception):
    """Another dispatch holds the workspace, or it has just been deleted."""


@dataclass(frozen=True)
class Idempotency:
    """A client's key for a request, and the digest of its body."""

    key: str
    body_sha256: str


def shares(limit: int) -> list[int]:
    """Return how much of a limit each shard admits."""
    whole, rest = divmod(limit, SHARDS)
    return [whole + (number < rest) for number in range(SHARDS)]


class DailyCount:
    """The count of one tenant's dispatches of a day, written in the transaction that creates one."""

    def __init__(self, database: Database, tenant_id: str, at: datetime, limit: int) -> None:
        self._db = database
        self._tenant_id, self._at = tenant_id, at
        self._expiry = int((at + timedelta(days=2)).timestamp())
        self._shares = dict(enumerate(shares(limit)))
        self._shard = self._any_of([number for number, share in self._shares.items() if share])

    def write(self) -> Write:
        """Return the write that counts the dispatch. Its condition fails when the chosen shard is full."""
        return update_write(
            self._db.dispatches,
            keys.day(self._tenant_id, self._at, self._shard),
            "ADD dispatched :one SET expires_at = :expiry",
            "attribute_not_exists(dispatched) OR dispatched < :share",
            one=1,
            share=self._shares[self._shard],
            expiry=self._expiry,
        )

    def next_shard(self) -> bool:
        """Choose another shard, one that is not full. Returns False when the day is used up."""
        items = self._db.query(self._db.dispatches, "pk = :pk", {"pk": keys.day(self._tenant_id, self._at, 0).pk})
        used = {int(item["sk"]): int(item["dispatched"]) for item in items}
        free = [number for number, share in self._shares.items() if used.get(number, 0) < share]
        if free:
            self._shard = self._any_of(free)
        return bool(free)

    @staticmethod
    def _any_of(shards: list[int]) -> int:
        return random.choice(shards)  # noqa: S311 - spreads, hides nothing


class Waker(Protocol):
    """Wakes workers, as `outpost.fleet.wakeups.Wakeups` does."""

    @property
    def agents(self) -> Sequence[Agent]:
        """The agents of this environment."""
        ...

    def send(self, agent: Agent) -> bool:
        """Wake one worker of an agent; return whether the message was sent."""
        ...


class Dispatches(DispatchRows):
    """The dispatches table, read and written."""

    def __init__(self, database: Database, wakeups: Waker) -> None:
        super().__init__(database)
        self._wakeups = wakeups

    def create(
        self,
        row: Dispatch,
        task: str,
        daily_limit: int,
        idempotency: Idempotency | None = None,
        workspace: Sequence[Write] = (),
    ) -> Dispatch:
        """Write row and task, queue it, count the day, and wake a worker. Returns an earlier row for a replay.

        `workspace` has the writes by which the dispatch takes or makes its workspace. Raises `DailyLimitError`,
        `IdempotencyConflictError`, `WorkspaceTakenError` and `ContentionError`; then nothing is written.
        """
        day = DailyCount(self._db, row.tenant_id, row.created_at, daily_limit)
        for _ in range(MAX_RACES):
            try:
                self._db.transact([*self._creation(row, task, day.write(), idempotency), *workspace])
            except (ConflictError, ContentionError) as refused:
                if idempotency and (earlier := self.replay(row.tenant_id, idempotency, row.created_at)):
                    return earlier
                if isinstance(refused, ContentionError):
                    raise
                if refused.codes[2] == "ConditionalCheckFailed" and not day.next_shard():
                    msg = f"tenant {row.tenant_id} has used its {daily_limit} dispatches of today"
                    raise DailyLimitError(msg) from refused
                if workspace and "ConditionalCheckFailed" in refused.codes[-len(workspace) :]:
                    msg = f"workspace {row.spec.workspace_id} is in use: dispatch again when its dispatch has ended"
                    raise WorkspaceTakenError(msg) from refused
                continue
            self._wakeups.send(row.spec.agent)
            return row
        raise ContentionError(f"tenant {row.tenant_id}: too many dispatches are being created at this moment")

    def _creation(self, row: Dispatch, task: str, counting: Write, idempotency: Idempotency | None) -> list[Write]:
        table, (item, *details) = self._db.dispatches, items_of(row)
        text = keys.task(row.id).item(task=task, expires_at=row.expires_at)
        writes = [
            put_write(table, item, "attribute_not_exists(pk)"),
            put_write(table, to_attributes(text)),
            counting,
            put_write(self._db.queues, queue_entry(row)),
            *(put_write(table, each) for each in details),
        ]
        if idempotency:
            writes.append(self._remember(row, idempotency))
        return writes

    def _remember(self, row: Dispatch, idempotency: Idempotency) -> Write:
        item = keys.idempotency(row.tenant_id, idempotency.key).item(
            dispatch_id=row.id,
            body_sha256=idempotency.body_sha256,
            expires_at=_epoch(row.created_at + timedelta(hours=IDEMPOTENCY_HOURS)),
        )
        # TTL deletes late: an expired item must not block.
        condition = "attribute_not_exists(pk) OR expires_at < :now"
        return put_write(self._db.dispatches, to_attributes(item), condition, now=_epoch(row.created_at))

    def replay(self, tenant_id: str, idempotency: Idempotency, at: datetime) -> Dispatch | None:
        """Return what an earlier request made, if this is its repetition. Raises `IdempotencyConflictError`."""
        item = self._db.get(self._db.dispatches, *keys.idempotency(tenant_id, idempotency.key))
        if item is None or int(item["expires_at"]) < _epoch(at):
            return None
        if item["body_sha256"] != idempotency.body_sha256:
            raise IdempotencyConflictError("Idempotency-Key was used with another body: use a new key")
        return self.get(item["dispatch_id"])

    def change(
        self, dispatch_id: str, event: Event, also: Sequence[Write] = (), known: Dispatch | None = None
    ) -> Dispatch:
        """Apply an event to the row, whatever races with it, and free the slot in the same transaction.

        `also` are further writes of the transaction; `known` is the row as it was read before. Raises `ConflictError`
        when a condition of theirs does not hold, `UnknownDispatchError`, `ContentionError` and what `lifecycle.apply`
        raises.
        """
        for _ in range(MAX_RACES):
            row, is_known, known = known or self.get(dispatch_id), known is not None, None
            if row is None:
                raise UnknownDispatchError(dispatch_id)
            try:
                changed = apply(row, event)
            except TransitionError:
                if is_known:  # it may have changed since
                    continue
                raise
            own = self.replacement(row, changed)
            try:
                self._db.transact([*own, *also])
            except ConflictError as refused:
                if "ConditionalCheckFailed" in refused.codes[len(own) :]:
                    raise
                continue
            if row.slot is not None and changed.slot is None:
                self._wake_after(changed)
            return changed
        raise ContentionError(f"dispatch {dispatch_id} changed under {MAX_RACES} tries of {type(event).__name__}")

    def replacement(self, row: Dispatch, changed: Dispatch) -> list[Write]:
        """Return the writes that replace `row` by `changed`, with its queue entry, its slot and its workspace."""
        table, (item, *details) = self._db.dispatches, items_of(changed)
        writes = [put_write(table, item, "version = :version", version=row.version)]
        if item["details"] != {"S": row.details}:  # its details are not stored yet
            writes += [put_write(table, each) for each in details]
        if row.status is Status.PENDING and changed.status is not Status.PENDING:
            writes.append(delete_write(self._db.queues, queue_entry_key(row)))
        elif changed.status is Status.PENDING:
            writes.append(put_write(self._db.queues, queue_entry(changed)))
        if slot := following_slot(self._db, row, changed):
            writes.append(slot)
        if row.spec.workspace_id is not None and changed.status.terminal and not row.status.terminal:
            writes.append(giving_back(self._db, row))
        return writes

    def queue_again(self, dispatch_id: str) -> bool:
        """Put a pending dispatch back into its agent's queue; return whether it was pending.

        Rows and entries are written together. They differ only where a table was restored, or written by a release
        without entries.
        """
        row = self.get(dispatch_id)
        if row is None or row.status is not Status.PENDING:
            return False
        check = check_write(self._db.dispatches, keys.row(row.id), "version = :version", version=row.version)
        try:
            self._db.transact([check, put_write(self._db.queues, queue_entry(row))])
        except ConflictError:
            return False
        return True

    def postpone(self, row: Dispatch, at: datetime) -> None:
        """Keep a pending dispatch from being claimed for a while: for 5, 10, 20, 40 and then each time 60 s."""
        entry = self._db.get(self._db.queues, *queue_entry_key(row))
        failures = int(entry.get("failures", 0)) + 1 if entry else 1
        until = at + min(POSTPONED * 2 ** min(failures - 1, 8), LONGEST_POSTPONED)
        with suppress(ConflictError):  # claimed, cancelled or expired meanwhile
            self._db.update(
                self._db.queues,
                *queue_entry_key(row),
                "SET not_before = :until, failures = :failures",
                "attribute_exists(pk)",
                until=until.isoformat(),
                failures=failures,
            )

    def _wake_after(self, changed: Dispatch) -> None:
        """A slot is free: wake a worker for the tenant's next pending dispatch, whichever agent it needs."""
        if changed.status is Status.PENDING:
            self._wakeups.send(changed.spec.agent)
            return
        heads = {
            agent: ids[0]
            for agent in self._wakeups.agents
            if (ids := self.live.queued(agent, changed.tenant_id, limit=1))
        }
        if heads:
            self._wakeups.send(min(heads, key=lambda agent: heads[agent]))


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
