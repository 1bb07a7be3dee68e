"""What must hold at the end, when no fault strikes any more."""

from collections.abc import Iterator

from outpost.domain.budgets import to_micros
from outpost.store.budgets import ENVIRONMENT as ENVIRONMENT_TOTALS
from tests.simulation.ecs import Task
from tests.simulation.observed import Observed

ORPHAN_SECONDS = 120.0


class Endings(Observed):
    """Looks for what is left."""

    def check_ended(self) -> None:
        """After the longest time: everything has ended."""
        alive = [f"{row.id} is {row.status}" for row in self.rows.values() if not row.status.terminal]
        self.require("every dispatch ends within its bound", not alive, ", ".join(alive))

    def check_cleared(self) -> None:
        """Long after the last fault: nothing is left."""
        for what in self._left():
            self.require("nothing leaks", False, what)
        for agent, settings in self.scenario.agents.items():
            idle = [t for t in self._ecs.tasks.values() if t.family == settings.family and self._is_idle(t)]
            text = f"{agent}: {len(idle)} idle workers of {settings.warm}"
            self.require("the warm pool recovers", len(idle) == min(settings.warm, settings.limit), text)

    def check_counted(self, sent: set[str], dead_letters: set[str]) -> None:
        """Long after the last fault: each ended dispatch is counted once and sent, or kept as a dead letter."""
        items = self._db.items("dispatches")
        counted = {pk.removeprefix("DISPATCH#") for pk, sk in items if sk == "COUNTED"}
        missing = {row.id for row in self.rows.values()} - (counted & sent) - dead_letters
        self.require("each ended dispatch is counted and sent", not missing, ", ".join(sorted(missing)))
        totals = [item for (pk, _), item in items.items() if pk.startswith(f"USAGE#{ENVIRONMENT_TOTALS}#")]
        for pk, item in ((pk, item) for (pk, _), item in items.items() if pk.startswith("MONTH#")):
            settled = not self.rows.keys() <= counted or item.get("charged", {"N": "0"}) == item["committed"]
            self.require("what ended dispatches held is given back", settled, f"{pk}: {item}")
        for row in self.rows.values():
            charged, spent = sum((row.charges or {}).values()), to_micros(self.spendings[row.id])
            self.require("what was spent is charged", spent <= charged, f"{row.id}: {spent} spent, {charged} charged")
        total = sum(int(item["dispatches"]["N"]) for item in totals)
        self.require("each ended dispatch is counted once", total == len(counted), f"{total}, not {len(counted)}")

    def _is_idle(self, task: Task) -> bool:
        return (
            task.stopped is None and task.stop_asked is None and not self._has_claimed(task) and task.id in self.beats
        )

    def _left(self) -> Iterator[str]:
        for (pk, sk), item in self._db.items("workers").items():
            if pk.startswith("TENANT#") and "dispatch_id" in item:
                yield f"slot {sk} of {pk} is held by {item['dispatch_id']['S']}"
            if pk.startswith("WORKERS#") and self._is_gone(sk):
                yield f"the row of worker {short(sk)} outlives its task"
        for task in self._ecs.tasks.values():
            if self._is_orphan(task):
                yield f"{task.host.name} has been running for nobody"

    def _is_gone(self, worker_id: str) -> bool:
        task = self._task(worker_id)
        return task is None or (task.stopped is not None and self.scheduler.now - task.stopped > ORPHAN_SECONDS)

    def _is_orphan(self, task: Task) -> bool:
        if task.stopped is not None or task.stop_asked is not None:
            return False
        if self.scheduler.now - task.created < 600 + ORPHAN_SECONDS:
            return False
        return not self._worker_rows(task.id)


def short(worker_id: str | None) -> str:
    """Return a worker's number."""
    return str(int(worker_id, 16)) if worker_id else "-"
