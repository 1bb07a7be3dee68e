"""How long what goes wrong with a worker may stay unseen: 60 s, and 120 s for a task that nobody needs (contract.md).

A bound counts from when a situation began, and from the latest disturbance of what detects it. So it holds

- in schedules whose clocks agree: by another clock, a pass may count no silence;
- from when no fault keeps the reconciler from seeing it (`Faults.hindered_until`): a minute after an invocation died
  and after an outage of any service, 90 s after an invocation stood still, a pass after any other cut call of it;
- for the silence of a worker: while all others are heard (ADR 41: the lease of several that are silent is longer, and
  the silence of nearly all is not counted);
- plus the time by which ECS's lists, or the index of active rows, are late;
- for a dispatch that waits beside an idle worker: a pass after the latest fault of any kind.

Lost, late and doubled events and messages, and all that becomes of tasks, lengthen no bound. Situations are looked for
each `LOOK` seconds.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from outpost.domain.deadlines import overdue
from outpost.domain.dispatch import Dispatch, Status
from tests.simulation.ecs import Task
from tests.simulation.expressions import Item
from tests.simulation.faults import CALM_LAG, PASS_SECONDS

if TYPE_CHECKING:
    from tests.simulation.invariants import Monitor

LOOK = 5.0
"""Seconds between two looks: a situation has lasted for up to so much longer than it was seen."""
DETECTION = 60.0
ORPHAN = 120.0
LONGEST_BEAT = 12.0
"""Seconds between two heartbeats of a worker that is heard."""
LONGEST_ASK = 30.0
"""Seconds between two requests for work of an idle worker that is heard."""


class Situation(NamedTuple):
    """Something that must not last: what, of which worker or dispatch, for how many seconds, and since when at most."""

    what: str
    of: str
    bound: float
    disturbed: float = 0.0
    """Until when something else hindered its detection."""


class Bounds:
    """Looks for situations, and requires that none lasts for longer than its bound."""

    def __init__(self, monitor: "Monitor") -> None:
        self._monitor = monitor
        self._since: dict[tuple[str, str], float] = {}
        self._unheard = 0.0
        """When a worker that responds, or two that do not, were unheard for the last time."""

    def look(self) -> None:
        """Require that no situation lasts for too long."""
        monitor, now = self._monitor, self._monitor.scheduler.now
        if monitor.faults.skew:
            return
        seen: dict[tuple[str, str], float] = {}
        for each in self._situations(_View(monitor.tasks(), monitor.worker_rows(), now)):
            since = seen[each.what, each.of] = self._since.get((each.what, each.of), now)
            lasted = now - max(since, each.disturbed, monitor.faults.hindered_until)
            text = f"{each.of}: {lasted:.0f} s of {each.bound:.0f}"
            monitor.require(f"{each.what} is seen in time", lasted <= each.bound - LOOK, text)
        self._since = seen

    def _situations(self, view: "_View") -> Iterator[Situation]:
        if view.unheard(self._monitor.beats):
            self._unheard = view.now
        for row in self._monitor.rows.values():
            yield from self._of_row(row, view)
        for task in view.tasks.values():
            yield from self._of_task(task, view)

    def _of_row(self, row: Dispatch, view: "_View") -> Iterator[Situation]:
        faults = self._monitor.faults
        task = view.tasks.get(row.worker_id or "") if row.lease else None
        if task is not None and _has_ended(task):
            yield Situation("an ended worker's dispatch", row.id, DETECTION + faults.list_lag)
        elif task is not None and not _responds(task, view.now):
            yield Situation("a silent worker's dispatch", row.id, DETECTION, self._unheard)
        elif not row.status.terminal and self._is_overdue(row):
            yield Situation("a dispatch over its time", row.id, DETECTION + faults.index_lag - CALM_LAG)
        elif row.status is Status.PENDING and row.spec.agent in view.idle and self._monitor.may_start(row):
            yield Situation("work beside an idle worker", row.id, DETECTION, faults.latest + PASS_SECONDS)

    def _of_task(self, task: Task, view: "_View") -> Iterator[Situation]:
        late = self._monitor.faults.list_lag
        if _has_ended(task) and task.id in view.rows:
            yield Situation("an ended worker's row", task.host.name, DETECTION + late)
        elif not _has_ended(task) and task.stop_asked is None and self._works_for_nobody(task, view):
            yield Situation("a task that works for nobody", task.host.name, ORPHAN + late)

    def _is_overdue(self, row: Dispatch) -> bool:
        at = self._monitor.scheduler.wall()
        return at >= row.queue_deadline if row.status is Status.PENDING else overdue(row, at) is not None

    def _works_for_nobody(self, task: Task, view: "_View") -> bool:
        """Return whether no row names the task and no launch is open, or what its row names is not its worker's."""
        row = view.rows.get(task.id)
        if row is None:
            return task.started_by not in self._monitor.intended()
        dispatch = self._monitor.rows.get(row.get("dispatch_id", {"S": ""})["S"])
        return dispatch is not None and (dispatch.lease is None or dispatch.worker_id != task.id)


class _View(NamedTuple):
    """Tasks and the rows of workers, by their ids, at a time."""

    tasks: dict[str, Task]
    rows: dict[str, Item]
    now: float

    @property
    def idle(self) -> set[str]:
        """Return the agents of which a worker is idle, and responds."""
        return {
            row["pk"]["S"].removeprefix("WORKERS#")
            for id_, row in self.rows.items()
            if _state(row) == "idle" and not _has_ended(self.tasks[id_]) and _responds(self.tasks[id_], self.now)
        }

    def unheard(self, beats: dict[str, float]) -> bool:
        """Return whether a worker that responds is unheard, or two that do not."""
        limits = {"busy": LONGEST_BEAT, "idle": LONGEST_ASK}
        silent = 0
        for id_, row in self.rows.items():
            limit, since = limits.get(_state(row)), self.now - beats.get(id_, 0.0)
            if limit is None or since <= limit - LOOK:
                continue
            if _has_ended(self.tasks[id_]) or not _responds(self.tasks[id_], self.now):
                silent += 1
            elif since > limit:
                return True
        return silent > 1


def _state(row: Item) -> str:
    return str(row["worker_state"]["S"])


def _has_ended(task: Task) -> bool:
    return task.stopped is not None or task.host.dead


def _responds(task: Task, now: float) -> bool:
    begun, end = task.host.cut_off
    return task.host.frozen_until <= now and not begun <= now < end
