"""What a schedule shows of rows, workers and tasks, and the exception of an invariant that does not hold."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.store.rows import queue_entry_key
from tests.simulation.coverage import ENDED, NO_DISPATCH
from tests.simulation.dynamodb import FakeDynamoDB
from tests.simulation.ecs import FakeEcs, Task
from tests.simulation.expressions import Item
from tests.simulation.faults import Faults
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import Host, Scheduler


class Violated(BaseException):
    """An invariant does not hold. No `except Exception` of the code hides it."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


@dataclass
class Observed:
    """What was seen so far."""

    scenario: Scenario
    faults: Faults
    scheduler: Scheduler
    log: Callable[[str, str], None]
    rows: dict[str, Dispatch] = field(default_factory=dict)
    beats: dict[str, float] = field(default_factory=dict)
    """When each worker's latest heartbeat was counted."""
    first_beats: dict[str, float] = field(default_factory=dict)
    summaries: dict[tuple[str, int], float] = field(default_factory=dict)
    """When an attempt stored the summary of a success, as the holder of the dispatch."""
    starts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Attempts whose agents have started."""
    claims: dict[str | None, str] = field(default_factory=dict)
    """The dispatch of each worker."""
    served: dict[str, float] = field(default_factory=dict)
    """When each tenant last got a worker."""
    violated: Violated | None = None
    """What was violated first."""
    accepted_ids: dict[int, str] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    refused: set[tuple[str, int]] = field(default_factory=set)
    """Attempts that were claimed while their tenant was suspended, which it still is."""
    spendings: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """US dollars that the model calls of each dispatch have cost."""
    demand: list[tuple[float, dict[Agent, int]]] = field(default_factory=list)

    def watch(self, dynamodb: FakeDynamoDB, ecs: FakeEcs) -> None:
        """Know the tables and tasks."""
        self._db, self._ecs = dynamodb, ecs

    def number_of(self, dispatch_id: str) -> int:
        """Return the number of a dispatch's order."""
        return int(self.rows[dispatch_id].created_by.removeprefix("otp_"))

    def state_of(self, dispatch_id: str | None) -> str:
        """Return the state of a dispatch, `NO_DISPATCH` for none."""
        row = self.rows.get(dispatch_id or "")
        return state_name(row) if row else NO_DISPATCH

    def states(self, host: Host | None) -> set[str]:
        """Return the states of the dispatch that a host works on, where it is known, else those of all dispatches."""
        row = self.rows.get(host.about or "") if host else None
        return {state_name(each) for each in ([row] if row else self.rows.values())}

    def require(self, invariant: str, holds: bool, text: str) -> None:
        """Raise `Violated` unless it holds."""
        if not holds:
            self.log("VIOLATED", f"{invariant}: {text}")
            self.violated = self.violated or Violated(invariant, text)
            self.scheduler.stopped = True
            raise self.violated

    def tasks(self) -> dict[str, Task]:
        """Return all tasks by their ids, which are those of their workers."""
        return {task.id: task for task in self._ecs.tasks.values()}

    def worker_rows(self) -> dict[str, Item]:
        """Return the rows of workers by their ids."""
        return {sk: item for (pk, sk), item in self._db.items("workers").items() if pk.startswith("WORKERS#")}

    def intended(self) -> set[str]:
        """Return the batches whose launch is not settled."""
        return {sk for pk, sk in self._db.items("workers") if pk.startswith("INTENT#")}

    def may_start(self, row: Dispatch) -> bool:
        """Return whether a pending dispatch may be claimed: its tenant has a free slot, and nothing delays it."""
        busy = sum(each.tenant_id == row.tenant_id and each.slot is not None for each in self.rows.values())
        may = busy < self.scenario.tenants[row.tenant_id] and row.tenant_id not in self.suspended
        return may and not self._is_postponed(row)

    def all_ended(self) -> bool:
        """Return whether all dispatches have ended."""
        return all(row.status.terminal for row in self.rows.values())

    def _is_lost(self, worker_id: str | None) -> bool:
        return any(row.get("worker_state") == {"S": "lost"} for row in self._worker_rows(worker_id))

    def _worker_rows(self, worker_id: str | None) -> list[Item]:
        items = self._db.items("workers")
        rows = (items.get((f"WORKERS#{agent}", worker_id or "")) for agent in self.scenario.agents)
        return [row for row in rows if row is not None]

    def _is_postponed(self, row: Dispatch) -> bool:
        return "not_before" in self._db.items("queues").get(queue_entry_key(row), {})

    def _has_claimed(self, task: Task) -> bool:
        return any("dispatch_id" in row for row in self._worker_rows(task.id))

    def _task(self, worker_id: str | None) -> Task | None:
        return next((task for task in self._ecs.tasks.values() if task.id == worker_id), None)


def state_name(row: Dispatch) -> str:
    """Return the name of a row's state, `ENDED` for all that are terminal."""
    return ENDED if row.status.terminal else str(row.status)
