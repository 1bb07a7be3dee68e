"""The reconciler at 100,000 workers and rows: in pages, in a pass's time and the function's memory, none left out."""

import tracemalloc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState
from outpost.domain.dispatch import Status
from outpost.domain.heartbeats import Observation, ReconcilerState
from outpost.domain.workers import Worker, WorkerState
from outpost.store.schema import ACTIVE_SHARDS
from reconciler.reconciler import Reconciler
from reconciler.silence import PERIOD

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(days=1)
MANY = 100_000
A_SHARD = MANY // ACTIVE_SHARDS
MEMORY = 150 * 2**20
"""Bytes: of the function's 256 MB, what the interpreter and its libraries leave."""


@dataclass
class Crowd:
    """A store of workers and pending rows, made when they are read: only the reconciler's own memory counts."""

    read_seconds: float
    """What a page takes to read."""
    silent: frozenset[str] = frozenset()
    unqueued: frozenset[str] = frozenset()
    at: datetime = T0
    beat: int = 0
    """Of healthy workers: one a pass."""
    workers_read: int = 0
    rows_read: int = 0
    largest: int = 0
    """Workers or rows that were read together."""
    lost: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    kept: tuple[ReconcilerState, Mapping[str, Observation]] = (ReconcilerState(), {})

    def _ids(self, first: str, last: int, limit: int) -> list[str]:
        self.at += timedelta(seconds=self.read_seconds)
        begin = int(first.strip() or -1) + 1
        ids = [f"{number:06d}" for number in range(begin, min(begin + limit, last))]
        self.largest = max(self.largest, len(ids))
        return ids

    def workers_page(self, agent: Agent, after: str, limit: int) -> list[Worker]:
        ids = self._ids(after, MANY, limit) if agent is Agent.SHELL else []
        self.workers_read += len(ids)
        return [self._worker(id_) for id_ in ids if id_ not in self.lost]

    def _worker(self, id_: str) -> Worker:
        return Worker(
            worker_id=id_,
            task_arn=f"arn:task/{id_}",
            agent=Agent.SHELL,
            revision=1,
            worker_state=WorkerState.BUSY,
            launched_at=T0,
            dispatch_id=f"d{id_}",
            fencing_token=1,
            beat=0 if id_ in self.silent else self.beat,
        )

    def mark_lost(self, worker: Worker) -> bool:
        self.lost.add(worker.worker_id)
        return True

    def states(self, ids: Iterable[str]) -> dict[str, RowState]:
        return {id_: _state(id_, Status.RUNNING, id_[1:]) for id_ in ids}

    def rows_page(self, shard: int, after: str, limit: int) -> list[RowState]:
        first = after if after.strip() else f"{shard * A_SHARD - 1}" if shard else " "
        ids = self._ids(first, (shard + 1) * A_SHARD, limit)
        self.rows_read += len(ids)
        return [_state(id_, Status.PENDING, None) for id_ in ids]

    def without_entry(self, states: Iterable[RowState]) -> list[RowState]:
        return [state for state in states if state.id in self.unqueued]

    def get(self, id_: str) -> None:
        self.healed.add(id_)

    def save(self, state: ReconcilerState, observed: Mapping[str, Observation]) -> None:
        self.kept = (state, dict(observed))

    def reconciler(self) -> Reconciler:
        """A reconciler over this store, with a cluster whose lists show every worker."""
        live = SimpleNamespace(states=self.states, page=self.rows_page, without_entry=self.without_entry)
        live.waiting = lambda *_: 0
        tasks = SimpleNamespace(owns=lambda *_: True, running=lambda *_: (), describe=lambda _: {}, stop=lambda *_: 0)
        tasks.families = dict.fromkeys(Agent, "family")
        parts: Any = SimpleNamespace(
            store=SimpleNamespace(
                agents={},
                dispatches=SimpleNamespace(live=live, get=self.get),
                workers=SimpleNamespace(page=self.workers_page, mark_lost=self.mark_lost, alive_of=lambda _: set()),
            ),
            tasks=tasks,
            snapshot=SimpleNamespace(
                state=lambda _: self.kept[0], observations=lambda _: dict(self.kept[1]), save=self.save
            ),
            now=lambda: self.at,
            broker_responds=lambda: True,
        )
        return Reconciler(parts, "me")

    def passes(self, number: int) -> None:
        """Make passes, each a period after the last or as soon as that has ended."""
        for _ in range(number):
            begins = max(self.at, T0 + self.beat * PERIOD)
            self.at, self.beat = begins, self.beat + 1
            self.reconciler().run(begins + PERIOD)
            assert self.at - begins <= PERIOD + timedelta(seconds=2 * self.read_seconds), "a pass over its time"


def _state(id_: str, status: Status, worker_id: str | None) -> RowState:
    return RowState(id_, "acme", Agent.SHELL, status, worker_id, 1, LATER)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPOST_ENVIRONMENT", "test")


@pytest.mark.full
def test_a_round_over_100_000_workers_and_rows_finds_the_few_that_need_it() -> None:
    crowd = Crowd(0.04, silent=frozenset({"000007", "050000", "099999"}), unqueued=frozenset({"000003", "099998"}))
    crowd.passes(3)
    tracemalloc.start()
    crowd.passes(1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert crowd.lost == {"000007", "050000", "099999"}
    assert crowd.healed >= {"000003", "099998"}
    assert crowd.largest <= 500
    assert peak < MEMORY


def test_a_pass_without_time_continues_where_the_last_one_stopped() -> None:
    crowd = Crowd(1.0)
    crowd.passes(1)
    assert 0 < crowd.workers_read < MANY
    assert 0 < crowd.rows_read < MANY
    seen = crowd.workers_read
    state, observed = crowd.kept
    assert state.worker
    assert len(observed) == seen
    crowd.passes(1)
    assert len(crowd.kept[1]) == crowd.workers_read > seen
