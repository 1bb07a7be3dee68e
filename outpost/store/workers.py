"""Workers, the tenants' slots, and the claim that joins a worker, a slot and a dispatch in one transaction."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Lease
from outpost.domain.lifecycle import Claim, TransitionError, apply
from outpost.domain.slots import SOON, Slots
from outpost.domain.workers import Worker, WorkerState
from outpost.store.database import ConflictError, Database, Item, expression_values, key, to_attributes
from outpost.store.dispatches import Dispatches

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT_AFTER_END = timedelta(days=1)
_BEAT = "SET beat = beat + :one"
_HOLDS = "fencing_token = :held AND worker_state = :busy"
"""It has claimed with this token, and is not declared lost."""


CLAIM_TRIES = 16
"""Pairs of a dispatch and a slot that a claim tries, each of which prepares credentials, before it gives up."""


class Lost(Enum):
    """What of a claim somebody else was quicker to take."""

    ROW = auto()
    SLOT = auto()
    WORKER = auto()


class Workers:
    """The workers table. The living workers of an agent are a partition: its supply is one consistent query."""

    def __init__(self, database: Database, dispatches: Dispatches) -> None:
        self._db = database
        self._dispatches = dispatches

    def get(self, agent: Agent, worker_id: str) -> Worker | None:
        """Read a living worker, or None."""
        item = self._db.get(self._db.workers, *_key(agent, worker_id))
        return Worker.model_validate(item) if item else None

    def alive(self, agent: Agent) -> list[Worker]:
        """Return the agent's workers that have not ended."""
        items = self._db.query(self._db.workers, "pk = :agent", {"agent": f"WORKERS#{agent}"})
        return [Worker.model_validate(item) for item in items]

    def page(self, agent: Agent, after: str, limit: int) -> list[Worker]:
        """Return workers of the agent that have not ended, in the order of their ids, from above `after`."""
        values = {"agent": f"WORKERS#{agent}", "after": after}
        items = self._db.query(self._db.workers, "pk = :agent AND sk > :after", values, limit=limit)
        return [Worker.model_validate(item) for item in items]

    def alive_of(self, wanted: Iterable[tuple[Agent, str]]) -> set[tuple[Agent, str]]:
        """Return which workers of these agents and ids have not ended."""
        keys = {_key(*each): each for each in wanted}
        items = self._db.get_many(self._db.workers, list(keys), ("pk", "sk"))
        return {keys[item["pk"], item["sk"]] for item in items}

    def mark_lost(self, worker: Worker) -> bool:
        """Take the lease from a worker, unless it was heard since its row was read; return whether it was not.

        From then on the broker refuses its heartbeats and claims, so that nothing else has to be done at once.
        """
        try:
            self._db.update(
                self._db.workers,
                *_key(worker.agent, worker.worker_id),
                "SET worker_state = :lost",
                "beat = :beat AND worker_state = :state",
                beat=worker.beat,
                state=worker.worker_state,
                lost=WorkerState.LOST,
            )
        except ConflictError:
            return False
        return True

    def add(self, workers: Iterable[Worker]) -> None:
        """Write new workers. One that is known already, or has ended, is left as it is."""
        for worker in workers:
            try:
                self._db.transact(self._addition(worker))
            except ConflictError:
                continue

    def _addition(self, worker: Worker) -> list["TransactWriteItemTypeDef"]:
        pk, sk = _key(worker.agent, worker.worker_id)
        unknown = "attribute_not_exists(pk)"
        item = to_attributes({"pk": pk, "sk": sk} | worker.model_dump(mode="json"))
        ended = key(*_ended_key(worker.worker_id))
        return [
            {"Put": {"TableName": self._db.workers, "Item": item, "ConditionExpression": unknown}},
            {"ConditionCheck": {"TableName": self._db.workers, "Key": ended, "ConditionExpression": unknown}},
        ]

    def idle(self, worker: Worker) -> Worker:
        """Write that a worker asks for work. Raises `ConflictError` when it ended, is lost or has claimed before."""
        try:
            return self._idle(worker)
        except ConflictError:
            known = self.get(worker.agent, worker.worker_id)
            if known and known.dispatch_id:
                raise
        # It asks before its launch is written, which may have happened since.
        self.add([worker])
        return self._idle(worker)

    def _idle(self, worker: Worker) -> Worker:
        item = self._db.update(
            self._db.workers,
            *_key(worker.agent, worker.worker_id),
            "SET worker_state = :idle, idle_since = if_not_exists(idle_since, :now), beat = beat + :one, "
            "proven = :proven, task_arn = :arn, revision = :revision",
            "attribute_exists(pk) AND attribute_not_exists(dispatch_id) AND worker_state <> :lost",
            idle=WorkerState.IDLE,
            lost=WorkerState.LOST,
            proven=worker.proven,
            arn=worker.task_arn,
            revision=worker.revision,
            now=worker.launched_at.isoformat(),
            one=1,
        )
        return Worker.model_validate(item)

    def note_request(self, agent: Agent, worker_id: str) -> None:
        """Count a sign of life of a worker without work, whose identity cannot be verified now."""
        with suppress(ConflictError):
            self._db.update(
                self._db.workers,
                *_key(agent, worker_id),
                _BEAT,
                "attribute_exists(pk) AND attribute_not_exists(dispatch_id)",
                one=1,
            )

    def beat(self, agent: Agent, lease: Lease) -> None:
        """Count a heartbeat. Raises `ConflictError` when the worker does not hold this token."""
        self._db.update(
            self._db.workers,
            *_key(agent, lease.worker_id),
            _BEAT,
            _HOLDS,
            one=1,
            held=lease.token,
            busy=WorkerState.BUSY,
        )

    def beating(self, agent: Agent, lease: Lease) -> "TransactWriteItemTypeDef":
        """Return the write that counts a heartbeat, for a transaction that only a worker that is not lost may make."""
        return {
            "Update": {
                "TableName": self._db.workers,
                "Key": key(*_key(agent, lease.worker_id)),
                "UpdateExpression": _BEAT,
                "ConditionExpression": _HOLDS,
                "ExpressionAttributeValues": expression_values(
                    {"one": 1, "held": lease.token, "busy": WorkerState.BUSY},
                ),
            },
        }

    def retire(self, worker: Worker) -> None:
        """Mark an idle worker to leave when it finds no work; one that has claimed meanwhile leaves anyway."""
        try:
            self._db.update(
                self._db.workers,
                *_key(worker.agent, worker.worker_id),
                "SET retiring = :yes",
                "worker_state = :idle AND attribute_not_exists(dispatch_id)",
                yes=True,
                idle=WorkerState.IDLE,
            )
        except ConflictError:
            return

    def end(self, worker: Worker, at: datetime) -> None:
        """Remove a worker that is gone from the living; for a day it is known to have ended, and cannot come back."""
        pk, sk = _ended_key(worker.worker_id)
        ended = to_attributes({"pk": pk, "sk": sk, "expires_at": int((at + KEPT_AFTER_END).timestamp())})
        living = key(*_key(worker.agent, worker.worker_id))
        self._db.transact(
            [
                {"Delete": {"TableName": self._db.workers, "Key": living}},
                {"Put": {"TableName": self._db.workers, "Item": ended}},
            ],
        )

    def slots(self, tenant_id: str) -> Slots:
        """Read a tenant's slots."""
        items = list(
            self._db.query(
                self._db.workers,
                "pk = :tenant AND begins_with(sk, :slot)",
                {"tenant": f"TENANT#{tenant_id}", "slot": "SLOT#"},
            ),
        )
        return Slots(
            taken={_number(i): i["dispatch_id"] for i in items if "dispatch_id" in i},
            last_served=max((i["claimed_at"] for i in items), default=""),
            agents=Counter(i.get("held_by_agent", "") for i in items if "dispatch_id" in i),
            ending={_number(i): since for i in items if "dispatch_id" in i and (since := _ending(i))},
        )

    def claim(
        self,
        worker: Worker,
        queued: list[str],
        free: list[int],
        at: datetime,
        before_commit: Callable[[Dispatch], None] = lambda _: None,
        secret_sha256: str | None = None,
    ) -> Dispatch | None:
        """Give the worker one of a tenant's queued dispatches and free slots, or None when others were quicker.

        One transaction: the row changes, the slot is taken, the worker has claimed for the only time in its life.
        `before_commit` gets the row as it will be: when it raises, nothing is written and no attempt is used.
        `secret_sha256` is of the secret that the worker's later requests carry.
        """
        # The first choice is the oldest dispatch; after a lost race a random one, so that claimants spread.
        for _ in range(CLAIM_TRIES):
            if not (free and queued):
                break
            row = self._dispatches.get(queued[0])
            try:
                changed = apply(row, Claim(worker.worker_id, free[0], at, secret_sha256)) if row else None
            except TransitionError:
                changed = None
            if row is None or changed is None:
                del queued[0]
            else:
                before_commit(changed)
                lost = self._commit_claim(worker, row, changed, free[0], at)
                if not lost:
                    return changed
                if Lost.WORKER in lost:
                    break
                del queued[: Lost.ROW in lost], free[: Lost.SLOT in lost]
            random.shuffle(free)
            random.shuffle(queued)
        return None

    def _commit_claim(self, worker: Worker, row: Dispatch, changed: Dispatch, slot: int, at: datetime) -> set["Lost"]:
        """Write a claim. Returns what others were quicker to take, nothing when the claim is written."""
        replacement = self._dispatches.replacement(row, changed)
        try:
            self._db.transact([*replacement, self._take_slot(changed, slot, at), self._bind(worker, changed)])
        except ConflictError as refused:
            parts = [Lost.ROW] * len(replacement) + [Lost.SLOT, Lost.WORKER]
            codes = zip(parts, refused.codes, strict=True)
            return {part for part, code in codes if code == "ConditionalCheckFailed"}
        return set()

    def _take_slot(self, row: Dispatch, slot: int, at: datetime) -> "TransactWriteItemTypeDef":
        return {
            "Update": {
                "TableName": self._db.workers,
                "Key": key(f"TENANT#{row.tenant_id}", f"SLOT#{slot:03d}"),
                "UpdateExpression": "SET dispatch_id = :id, claimed_at = :now, held_by_agent = :agent",
                "ConditionExpression": "attribute_not_exists(dispatch_id)",
                "ExpressionAttributeValues": expression_values(
                    {"id": row.id, "now": at.isoformat(), "agent": row.spec.agent}
                ),
            },
        }

    def _bind(self, worker: Worker, row: Dispatch) -> "TransactWriteItemTypeDef":
        return {
            "Update": {
                "TableName": self._db.workers,
                "Key": key(*_key(worker.agent, worker.worker_id)),
                "UpdateExpression": "SET worker_state = :busy, dispatch_id = :id, fencing_token = :token, beat = :zero",
                "ConditionExpression": "worker_state = :idle AND attribute_not_exists(dispatch_id)",
                "ExpressionAttributeValues": expression_values(
                    {
                        "busy": WorkerState.BUSY,
                        "idle": WorkerState.IDLE,
                        "id": row.id,
                        "token": row.attempt,
                        "zero": 0,
                    },
                ),
            },
        }


def _key(agent: Agent, worker_id: str) -> tuple[str, str]:
    return f"WORKERS#{agent}", worker_id


def _ended_key(worker_id: str) -> tuple[str, str]:
    return f"ENDED#{worker_id}", "WORKER"


def _number(slot: Item) -> int:
    return int(slot["sk"].removeprefix("SLOT#"))


def _ending(slot: Item) -> datetime | None:
    """Return since when a taken slot is about to be free, as far as one can tell."""
    if "ending_at" in slot:
        return datetime.fromisoformat(slot["ending_at"])
    quick = "held_seconds" in slot and timedelta(seconds=float(slot["held_seconds"])) < SOON
    return datetime.fromisoformat(slot["claimed_at"]) if quick else None
