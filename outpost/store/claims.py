"""The claim that joins a worker, a slot and a dispatch in one transaction."""

import random
from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto

from outpost.domain.dispatch import Dispatch
from outpost.domain.lifecycle import Claim, TransitionError, apply
from outpost.domain.workers import Worker
from outpost.store.database import ConflictError, Database
from outpost.store.dispatches import Dispatches
from outpost.store.slots import taking_slot
from outpost.store.workers import binding

CLAIM_TRIES = 16
"""Pairs of a dispatch and a slot that a claim tries, each of which prepares credentials, before it gives up."""


class Lost(Enum):
    """What of a claim another one was quicker to take."""

    ROW = auto()
    SLOT = auto()
    WORKER = auto()


class Claimer:
    """Gives dispatches to workers."""

    def __init__(self, database: Database, dispatches: Dispatches) -> None:
        self._db = database
        self._dispatches = dispatches

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
            self._db.transact(
                [*replacement, taking_slot(self._db, changed, slot, at), binding(self._db, worker, changed)]
            )
        except ConflictError as refused:
            parts = [Lost.ROW] * len(replacement) + [Lost.SLOT, Lost.WORKER]
            codes = zip(parts, refused.codes, strict=True)
            return {part for part, code in codes if code == "ConditionalCheckFailed"}
        return set()
