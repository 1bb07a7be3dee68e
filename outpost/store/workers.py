"""The workers table: living workers, and marks of those that have ended."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Lease
from outpost.domain.workers import Worker, WorkerState
from outpost.store import keys
from outpost.store.database import (
    ConflictError,
    Database,
    Write,
    check_write,
    delete_write,
    put_write,
    to_attributes,
    update_write,
)

KEPT_AFTER_END = timedelta(days=1)
_BEAT = "SET beat = beat + :one"
_HOLDS = "fencing_token = :held AND worker_state = :busy"
"""It has claimed with this token, and is not declared lost."""


class Workers:
    """The workers table. The living workers of an agent are a partition: its supply is one consistent query."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, agent: Agent, worker_id: str) -> Worker | None:
        """Read a living worker, or None."""
        item = self._db.get(self._db.workers, *keys.worker(agent, worker_id))
        return Worker.model_validate(item) if item else None

    def alive(self, agent: Agent) -> list[Worker]:
        """Return the agent's workers that have not ended."""
        items = self._db.query(self._db.workers, "pk = :agent", {"agent": keys.worker(agent).pk})
        return [Worker.model_validate(item) for item in items]

    def page(self, agent: Agent, after: str, limit: int) -> list[Worker]:
        """Return workers of the agent that have not ended, in the order of their ids, from above `after`."""
        values = {"agent": keys.worker(agent).pk, "after": after}
        items = self._db.query(self._db.workers, "pk = :agent AND sk > :after", values, limit=limit)
        return [Worker.model_validate(item) for item in items]

    def alive_of(self, wanted: Iterable[tuple[Agent, str]]) -> set[tuple[Agent, str]]:
        """Return which workers of these agents and ids have not ended."""
        by_key = {keys.worker(*each): each for each in wanted}
        items = self._db.get_many(self._db.workers, list(by_key), ("pk", "sk"))
        return {by_key[keys.Key(item["pk"], item["sk"])] for item in items}

    def mark_lost(self, worker: Worker) -> bool:
        """Take the lease from a worker, unless it was heard since its row was read; return whether it was not.

        From then on the broker refuses its heartbeats and claims, so that nothing else has to be done at once.
        """
        try:
            self._db.update(
                self._db.workers,
                *_key(worker),
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
            with suppress(ConflictError):
                self._db.transact(self._addition(worker))

    def _addition(self, worker: Worker) -> list[Write]:
        table, unknown = self._db.workers, "attribute_not_exists(pk)"
        item = to_attributes(_key(worker).item(**worker.model_dump(mode="json")))
        return [put_write(table, item, unknown), check_write(table, keys.ended_worker(worker.worker_id), unknown)]

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
            *_key(worker),
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
                *keys.worker(agent, worker_id),
                _BEAT,
                "attribute_exists(pk) AND attribute_not_exists(dispatch_id)",
                one=1,
            )

    def beat(self, agent: Agent, lease: Lease) -> None:
        """Count a heartbeat. Raises `ConflictError` when the worker does not hold this token."""
        self._db.update(self._db.workers, *keys.worker(agent, lease.worker_id), _BEAT, _HOLDS, **_holding(lease))

    def beating(self, agent: Agent, lease: Lease) -> Write:
        """Return the write that counts a heartbeat, for a transaction that only a worker that is not lost may make."""
        return update_write(self._db.workers, keys.worker(agent, lease.worker_id), _BEAT, _HOLDS, **_holding(lease))

    def retire(self, worker: Worker) -> None:
        """Mark an idle worker to leave when it finds no work; one that has claimed meanwhile leaves anyway."""
        with suppress(ConflictError):
            self._db.update(
                self._db.workers,
                *_key(worker),
                "SET retiring = :yes",
                "worker_state = :idle AND attribute_not_exists(dispatch_id)",
                yes=True,
                idle=WorkerState.IDLE,
            )

    def end(self, worker: Worker, at: datetime) -> None:
        """Remove a worker that is gone from the living; for a day it is known to have ended, and cannot come back."""
        ended = keys.ended_worker(worker.worker_id).item(expires_at=int((at + KEPT_AFTER_END).timestamp()))
        table = self._db.workers
        self._db.transact([delete_write(table, _key(worker)), put_write(table, to_attributes(ended))])


def binding(database: Database, worker: Worker, row: Dispatch) -> Write:
    """Return the write by which an idle worker claims a dispatch, for the only time in its life."""
    return update_write(
        database.workers,
        _key(worker),
        "SET worker_state = :busy, dispatch_id = :id, fencing_token = :token, beat = :zero",
        "worker_state = :idle AND attribute_not_exists(dispatch_id)",
        busy=WorkerState.BUSY,
        idle=WorkerState.IDLE,
        id=row.id,
        token=row.attempt,
        zero=0,
    )


def _key(worker: Worker) -> keys.Key:
    return keys.worker(worker.agent, worker.worker_id)


def _holding(lease: Lease) -> dict[str, Any]:
    return {"one": 1, "held": lease.token, "busy": WorkerState.BUSY}
