"""Dispatches: created in one transaction, changed only by compare-and-set through the lifecycle, listed by page."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import lowest_id
from outpost.domain.lifecycle import Event, apply
from outpost.store.daily import DailyCount
from outpost.store.database import ConflictError, ContentionError, Database, Item, expression_values, key, to_attributes
from outpost.store.live_dispatches import LiveDispatches
from outpost.store.row_reader import complete_rows, read_row
from outpost.store.rows import AFTER_IDS, items_of, key_of, queue_entry, queue_entry_key, row_from
from outpost.store.schema import BY_TENANT
from outpost.store.workspaces import giving_back

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MAX_RACES = 10
"""Lost compare-and-sets before giving up: a row has at most four writers."""
EXAMINED = 1_000
"""Rows that one page of a filtered list looks at, at most."""
FILTERED_PAGE = 250
"""Rows read at a time when some will not match."""
IDEMPOTENCY_HOURS = 24
POSTPONED = timedelta(seconds=5)
LONGEST_POSTPONED = timedelta(seconds=60)
"""For how long a dispatch that cannot be prepared is left alone: the first time, and at most."""

_BEFORE_IDS = "0"
"""Sorts before every id."""


class UnknownDispatchError(LookupError):
    """There is no dispatch of this id."""


class DailyLimitError(Exception):
    """The tenant has used its dispatches of the day."""


class IdempotencyConflictError(Exception):
    """The idempotency key was used with another body."""


class WorkspaceTakenError(Exception):
    """Another dispatch holds the workspace, or it has just been deleted."""


@dataclass(frozen=True)
class Idempotency:
    """A client's key for a request, and what tells one body from another."""

    key: str
    body_sha256: str


@dataclass(frozen=True)
class Page:
    """Some rows, newest first; `last_id` continues the list, None ends it."""

    rows: list[Dispatch]
    last_id: str | None


class Waker(Protocol):
    """Wakes workers, as `outpost.fleet.wakeups.Wakeups` does."""

    @property
    def agents(self) -> Sequence[Agent]:
        """The agents of this environment."""
        ...

    def send(self, agent: Agent) -> bool:
        """Wake one worker of an agent; return whether the message was sent."""
        ...


class Dispatches:
    """The dispatches table; `live` finds those in it that have not ended."""

    def __init__(self, database: Database, wakeups: Waker) -> None:
        self._db = database
        self._wakeups = wakeups
        self.live = LiveDispatches(database)

    def create(
        self,
        row: Dispatch,
        task: str,
        daily_limit: int,
        idempotency: Idempotency | None = None,
        workspace: Sequence["TransactWriteItemTypeDef"] = (),
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

    def _creation(
        self, row: Dispatch, task: str, counting: "TransactWriteItemTypeDef", idempotency: Idempotency | None
    ) -> list["TransactWriteItemTypeDef"]:
        table = self._db.dispatches
        item, *details = items_of(row)
        text = {"pk": f"DISPATCH#{row.id}", "sk": "TASK", "task": task, "expires_at": row.expires_at}
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}},
            {"Put": {"TableName": table, "Item": to_attributes(text)}},
            counting,
            {"Put": {"TableName": self._db.queues, "Item": queue_entry(row)}},
        ]
        writes += [{"Put": {"TableName": table, "Item": each}} for each in details]
        if idempotency:
            writes.append(self._remember(row, idempotency))
        return writes

    def _remember(self, row: Dispatch, idempotency: Idempotency) -> "TransactWriteItemTypeDef":
        item = {
            "pk": f"IDEMPOTENCY#{row.tenant_id}#{idempotency.key}",
            "sk": "IDEMPOTENCY",
            "dispatch_id": row.id,
            "body_sha256": idempotency.body_sha256,
            "expires_at": _epoch(row.created_at + timedelta(hours=IDEMPOTENCY_HOURS)),
        }
        return {
            "Put": {
                "TableName": self._db.dispatches,
                "Item": to_attributes(item),
                # TTL deletes late: an expired item must not block.
                "ConditionExpression": "attribute_not_exists(pk) OR expires_at < :now",
                "ExpressionAttributeValues": expression_values({"now": _epoch(row.created_at)}),
            },
        }

    def replay(self, tenant_id: str, idempotency: Idempotency, at: datetime) -> Dispatch | None:
        """Return what an earlier request made, if this is its repetition. Raises `IdempotencyConflictError`."""
        item = self._db.get(self._db.dispatches, f"IDEMPOTENCY#{tenant_id}#{idempotency.key}", "IDEMPOTENCY")
        if item is None or int(item["expires_at"]) < _epoch(at):
            return None
        if item["body_sha256"] != idempotency.body_sha256:
            raise IdempotencyConflictError("Idempotency-Key was used with another body: use a new key")
        return self.get(item["dispatch_id"])

    def get(self, dispatch_id: str) -> Dispatch | None:
        """Read a row, or None."""
        return read_row(self._db, dispatch_id)

    def task(self, dispatch_id: str) -> str:
        """Read the text of a task. Raises `UnknownDispatchError`."""
        item = self._db.get(self._db.dispatches, f"DISPATCH#{dispatch_id}", "TASK")
        if item is None:
            raise UnknownDispatchError(dispatch_id)
        return str(item["task"])

    def change(self, dispatch_id: str, event: Event, also: Sequence["TransactWriteItemTypeDef"] = ()) -> Dispatch:
        """Apply an event to the row, whatever races with it, and free the slot in the same transaction.

        `also` are further writes of the transaction. Raises `ConflictError` when a condition of theirs does not hold,
        `UnknownDispatchError`, `ContentionError` and what `lifecycle.apply` raises.
        """
        for _ in range(MAX_RACES):
            row = self.get(dispatch_id)
            if row is None:
                raise UnknownDispatchError(dispatch_id)
            changed = apply(row, event)
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

    def replacement(self, row: Dispatch, changed: Dispatch) -> list["TransactWriteItemTypeDef"]:
        """Return the writes that replace `row` by `changed`, with its place in the queue, its slot and its workspace.

        A slot tells when its agent has ended, and how long it was last held: the planner starts the next worker by it.
        """
        writes = self._rewriting(row, changed)
        if row.status is Status.PENDING and changed.status is not Status.PENDING:
            entry = key(*queue_entry_key(row))
            writes.append({"Delete": {"TableName": self._db.queues, "Key": entry}})
        elif changed.status is Status.PENDING:
            writes.append({"Put": {"TableName": self._db.queues, "Item": queue_entry(changed)}})
        if row.slot is not None and changed.slot is None:
            held = {"held": str(_held_seconds(row, changed))}
            writes.append(self._mark_slot(row, "SET held_seconds = :held REMOVE dispatch_id, ending_at", **held))
        elif row.slot is not None and changed.status is Status.COMPLETING and changed.completing_at:
            ending = {"ending": changed.completing_at.isoformat()}
            writes.append(self._mark_slot(row, "SET ending_at = :ending", **ending))
        if row.spec.workspace_id is not None and changed.status.terminal and not row.status.terminal:
            writes.append(giving_back(self._db, row))
        return writes

    def _rewriting(self, row: Dispatch, changed: Dispatch) -> list["TransactWriteItemTypeDef"]:
        """Return the write of the row and, where they are not stored yet, of its longer texts."""
        item, *details = items_of(changed)
        table = self._db.dispatches
        writes: list[TransactWriteItemTypeDef] = [
            {
                "Put": {
                    "TableName": table,
                    "Item": item,
                    "ConditionExpression": "version = :version",
                    "ExpressionAttributeValues": expression_values({"version": row.version}),
                },
            },
        ]
        if item["details"] != {"S": row.details}:
            writes += [{"Put": {"TableName": table, "Item": each}} for each in details]
        return writes

    def _mark_slot(self, row: Dispatch, expression: str, **values: str) -> "TransactWriteItemTypeDef":
        return {
            "Update": {
                "TableName": self._db.workers,
                "Key": key(f"TENANT#{row.tenant_id}", f"SLOT#{row.slot:03d}"),
                "UpdateExpression": expression,
                "ConditionExpression": "dispatch_id = :id",
                "ExpressionAttributeValues": expression_values({"id": row.id} | values),
            },
        }

    def queue_again(self, dispatch_id: str) -> bool:
        """Put a pending dispatch back into its agent's queue; return whether it was pending.

        Rows and entries are written together. They differ only where a table was restored, or written by a release
        without entries.
        """
        row = self.get(dispatch_id)
        if row is None or row.status is not Status.PENDING:
            return False
        unchanged = expression_values({"version": row.version})
        check: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "TableName": self._db.dispatches,
                "Key": key(*key_of(row.id)),
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": unchanged,
            },
        }
        try:
            self._db.transact([check, {"Put": {"TableName": self._db.queues, "Item": queue_entry(row)}}])
        except ConflictError:
            return False
        return True

    def postpone(self, row: Dispatch, at: datetime) -> None:
        """Keep a pending dispatch from being claimed for a while: for 5, 10, 20, 40 and then each time 60 s."""
        pk, sk = queue_entry_key(row)
        entry = self._db.get(self._db.queues, pk, sk)
        failures = int(entry.get("failures", 0)) + 1 if entry else 1
        until = at + min(POSTPONED * 2 ** min(failures - 1, 8), LONGEST_POSTPONED)
        with suppress(ConflictError):  # claimed, cancelled or expired meanwhile
            self._db.update(
                self._db.queues,
                pk,
                sk,
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

    def page(
        self,
        tenant_id: str,
        *,
        limit: int,
        before: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        matches: Callable[[Dispatch], bool] | None = None,
        reads_texts: bool = False,
        complete: bool = True,
    ) -> Page:
        """Return up to `limit` matching rows with ids below `before`, created in [since, until), newest first.

        At most `EXAMINED` rows are read, so a short page may have a `last_id`. `matches` gets rows that may miss tags
        and longer texts, unless it `reads_texts`; so may those that are returned, unless they are `complete`.
        """
        oldest = lowest_id(since) if since else _BEFORE_IDS
        newest = min(before or AFTER_IDS, lowest_id(until) if until else AFTER_IDS)
        if oldest > newest:
            return Page([], None)
        # BETWEEN includes `newest` itself, and one row more shows whether a page follows.
        size = FILTERED_PAGE if matches else limit + 2
        items = self._db.query(
            self._db.dispatches,
            "tenant_id = :tenant AND id BETWEEN :oldest AND :newest",
            {"tenant": tenant_id, "oldest": oldest, "newest": newest},
            index=BY_TENANT.name,
            newest_first=True,
            limit=EXAMINED,
            page_size=size,
        )
        pages = iter(lambda: list(islice(items, size)), [])
        found = (zip(page, self._rows(page, complete=reads_texts), strict=True) for page in pages)
        chosen: list[Item] = []
        last: str | None = None
        examined = 0
        for item, row in chain.from_iterable(found):
            examined += 1
            if row.id == newest:
                continue
            if matches is None or matches(row):
                if len(chosen) == limit:
                    return Page(self._rows(chosen, complete=complete), last)
                chosen.append(item)
            last = row.id
        return Page(self._rows(chosen, complete=complete), last if examined == EXAMINED else None)

    def _rows(self, items: Sequence[Item], *, complete: bool) -> list[Dispatch]:
        return complete_rows(self._db, items) if complete else list(map(row_from, items))


def _held_seconds(row: Dispatch, changed: Dispatch) -> float:
    since, until = row.provisioning_at, changed.ended_at or changed.queued_at
    return (until - since).total_seconds() if since else 0.0


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
