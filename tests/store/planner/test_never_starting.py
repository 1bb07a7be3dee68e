"""Of ten thousand dispatches practically all run, though one task in a hundred never starts.

Planner, launcher and state machine are the real ones under the virtual clock. The rows are in memory: with real tables
the same planner is tested beside this, with fewer dispatches.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.ids import new_id
from outpost.domain.launches import LAUNCH_BURST, Intent, LaunchRate
from outpost.domain.lifecycle import Claim, Finish, Report, Start, apply
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.slots import Slots
from outpost.domain.tenants import Limits, Tenant
from outpost.domain.workers import Worker, WorkerState
from outpost.names import Env
from planner.demand import Demand
from planner.launcher import Launcher, Placement
from planner.planner import Planner
from tests.store.planner.conftest import START_SECONDS, Clock, SimulatedEcs

DONE = Reason.of(ReasonCode.COMPLETED, "Done.")
RUN_SECONDS = 60.0
SLOTS = 2_000


@dataclass
class Ledger:
    """The rows that the planner reads and writes, and the workers that claim them, as the broker would let them."""

    clock: Clock
    rows: dict[str, Dispatch] = field(default_factory=dict)
    pending: deque[str] = field(default_factory=deque)
    workers: dict[str, Worker] = field(default_factory=dict)
    planned: dict[str, Intent] = field(default_factory=dict)
    bucket: LaunchRate | None = None
    taken: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = set(range(SLOTS))

    def queue(self, number: int) -> None:
        """Accept dispatches."""
        at = self.clock.now()
        for _ in range(number):
            row = Dispatch(
                id=new_id(),
                tenant_id="acme",
                created_by="otp_00000000",
                spec=Spec(agent=Agent.SHELL),
                expires_at=0,
                created_at=at,
                queued_at=at,
            )
            self.rows[row.id] = row
            self.pending.append(row.id)

    def start(self, task: dict[str, Any]) -> None:
        """A task runs: it claims the oldest dispatch, or finds nothing and leaves."""
        worker_id = task["taskArn"].rpartition("/")[2]
        if not self.pending:
            del self.workers[worker_id]
            return
        id_, slot, at = self.pending.popleft(), self._free.pop(), self.clock.now()
        claimed = apply(self.rows[id_], Claim(worker_id, slot, at))
        assert claimed.lease is not None
        self.rows[id_] = apply(claimed, Start(claimed.lease, at))
        self.taken[slot] = id_
        self.workers[worker_id] = self.workers[worker_id].model_copy(update={"worker_state": WorkerState.BUSY})
        self.clock.later(RUN_SECONDS, lambda: self.end(worker_id, id_, slot))

    def end(self, worker_id: str, id_: str, slot: int) -> None:
        """The agent is done, and the worker leaves."""
        row, at = self.rows[id_], self.clock.now()
        assert row.lease is not None
        self.rows[id_] = apply(apply(row, Finish(row.lease, 0, at)), Report(row.lease, Status.SUCCESS, DONE, at))
        del self.workers[worker_id], self.taken[slot]
        self._free.add(slot)

    # What the planner asks of the store

    def tenants(self, _: Agent, behind: str = "") -> list[str]:
        return ["acme"] if self.pending and behind < "acme" else []

    def queued(self, _: Agent, tenant_id: str, limit: int, at: object) -> list[str]:
        assert tenant_id == "acme"
        return [id_ for _, id_ in zip(range(limit), self.pending, strict=False)]

    def get(self, tenant_id: str) -> Tenant:
        limits = Limits(concurrent=SLOTS, daily=1_000_000, timeout_seconds=3_600)
        return Tenant(id=tenant_id, name="Acme", overrides=limits, created_at=self.clock.start)

    def of(self, _: str) -> Slots:
        return Slots(self.taken, "")

    def alive(self, _: Agent) -> list[Worker]:
        return list(self.workers.values())

    def add(self, workers: Iterable[Worker]) -> None:
        self.workers |= {worker.worker_id: worker for worker in workers}

    def intents(self, _: Agent) -> list[Intent]:
        return list(self.planned.values())

    def intend(self, intent: Intent, rate: LaunchRate, _: object) -> None:
        self.planned[intent.batch_id] = intent
        self.bucket = rate

    def settle(self, intent: Intent) -> None:
        del self.planned[intent.batch_id]

    def rate(self, _: object) -> LaunchRate:
        at = self.clock.now()
        return self.bucket.at(at) if self.bucket else LaunchRate(tokens=LAUNCH_BURST, counted_at=at)

    def keep_rate(self, rate: LaunchRate) -> None:
        self.bucket = rate

    def failure(self, _: Agent) -> None:
        """No launch is refused here."""

    accepted = failure

    def cursor(self) -> str:
        return ""

    def keep_cursor(self, _: str) -> None:
        """One tenant: a walk always begins with it."""

    def acquire(self, _: str) -> "Ledger":
        return self

    def keep(self) -> None:
        """Nobody else plans."""

    def release(self) -> bool:
        return True

    abandon = keep


def make_planner(clock: Clock, ecs: SimulatedEcs, ledger: Any) -> Planner:  # noqa: ANN401 - it is every table at once
    agents = {Agent.SHELL: AgentSettings(queue_url="", family="outpost-shell", limit=SLOTS)}
    placement: Any = Placement("outpost", ["zone-a", "zone-b"], "sg")
    client: Any = ecs
    launcher = Launcher(client, placement, agents, ledger, ledger, clock.now, Random(1))
    demand = Demand(ledger, ledger, ledger, clock.now)
    return Planner(agents, demand, ledger, ledger, ledger, launcher, clock.now, clock.sleep)


def test_ten_thousand_dispatches_run_though_tasks_never_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.ENVIRONMENT, "test")
    clock = Clock()
    ledger, ecs = Ledger(clock), SimulatedEcs(clock, vcpu_limit=100_000, never_starts=0.01)
    ecs.on_start = ledger.start
    planner = make_planner(clock, ecs, ledger)

    def wake(seconds: float) -> None:
        planner.work("planner", clock.now() + timedelta(seconds=45))
        clock.sleep(seconds)

    for _ in range(500):  # the stream wakes the planner at each arrival
        ledger.queue(20)
        wake(2)
    for _ in range(10):  # and then its schedule
        wake(60)

    waits = [(row.running_at - row.created_at).total_seconds() for row in ledger.rows.values() if row.running_at]
    never_started = len(ecs.launched) - len(waits)
    print(f"{len(waits)} of {len(ledger.rows)} ran, {never_started} tasks never did; longest wait {max(waits):.0f} s")
    assert len(ledger.rows) == 10_000
    assert len(waits) >= 9_999
    assert never_started >= 70
    assert len(ecs.launched) <= 10_000 * 1.02
    assert ecs.calls["throttled"] <= ecs.calls["run_task"] / 100
    # What never started counts as a worker on its way for three minutes; then its replacement starts.
    assert max(waits) <= 180 + 60 + 2 * START_SECONDS
