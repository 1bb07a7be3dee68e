"""What must hold after every write and at the end, whatever fails."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from outpost.domain.agents import Agent
from outpost.domain.budgets import to_micros
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import EDGES
from outpost.domain.workspaces import QUOTAS
from outpost.store.budgets import ENVIRONMENT as ENVIRONMENT_TOTALS
from outpost.store.database import from_attributes
from outpost.store.keys import ROW
from outpost.store.row_details import ROW_BYTES, item_bytes
from outpost.store.rows import details_key, queue_entry_key, row_from
from tests.simulation.coverage import ENDED, NO_DISPATCH
from tests.simulation.dynamodb import Change, FakeDynamoDB
from tests.simulation.ecs import FakeEcs, Task
from tests.simulation.expressions import Item
from tests.simulation.faults import Faults
from tests.simulation.scenario import Order, Scenario
from tests.simulation.scheduler import Host, Scheduler
from worker.attempt import EXIT_LOST

BEAT_SECONDS = 30.0
"""A worker whose latest heartbeat was counted less long ago is alive."""
STARTING_SECONDS = 180.0
"""A task that has not asked for work by then is supply no more."""
PLANNER_SECONDS = 60.0
"""A planner launches at most so long after it has read what there is: its function's time limit."""
ORPHAN_SECONDS = 120.0
OUTAGE_BOUND = 8 * 3_600.0
"""The longest silence of the whole fleet for which no worker is declared lost."""
SETTLED = 5.0
"""A dispatch that waits for less may not have been seen by a claim that is made at the same time."""
DEMAND_SECONDS = 120.0
"""For so long a launch may answer to demand that was there."""


class Violated(BaseException):
    """An invariant does not hold. No `except Exception` of the code hides it."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


@dataclass
class Monitor:
    """Sees every write, every start of an agent and every launch."""

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
        return _state(row) if row else NO_DISPATCH

    def states(self, host: Host | None) -> set[str]:
        """Return the states of the dispatch that a host works on, where it is known, else those of all dispatches."""
        row = self.rows.get(host.about or "") if host else None
        return {_state(each) for each in ([row] if row else self.rows.values())}

    def require(self, invariant: str, holds: bool, text: str) -> None:
        """Raise `Violated` unless it holds."""
        if not holds:
            self.log("VIOLATED", f"{invariant}: {text}")
            self.violated = self.violated or Violated(invariant, text)
            self.scheduler.stopped = True
            raise self.violated

    def committed(self, changes: Sequence[Change]) -> None:
        """Check a write."""
        kinds = {
            ("dispatches", "DISPATCH"): self._row_changed,
            ("workers", "WORKERS"): self._worker_changed,
            ("workers", "TENANT"): self._slot_changed,
            ("workspaces", "TENANT"): self._workspace_changed,
            ("dispatches", "MONTH"): self._month_changed,
        }
        for change in changes:
            check = kinds.get((change.table, change.key[0].partition("#")[0]))
            if check is not None:
                check(change)
        for change in changes:
            if change.table == "dispatches" and change.key[1] == ROW:
                self._check_places(self.rows[change.key[0].removeprefix("DISPATCH#")])
            elif change.table == "queues" and change.new is not None:
                if "not_before" in change.new:
                    self._count_demand()
                self._check_places(self.rows[change.key[1].partition("#")[2]])

    def _row_changed(self, change: Change) -> None:
        if change.key[1] != ROW:
            return  # the task's text
        self.require("rows are never deleted", change.new is not None, change.key[0])
        new = row_from(from_attributes(change.new or {}))
        old = self.rows.get(new.id)
        self._check_texts(change)
        self.rows[new.id] = new
        for kind in self.faults.lasting:
            self.faults.met[kind, _state(new)] += 1
        self._count_demand()
        what = (
            f"{old.status if old else 'nothing'} -> {new.status}, attempt {new.attempt}, worker {_short(new.worker_id)}"
        )
        self.log(f"dispatch {self.number_of(new.id)}", what + (f": {new.reason.code}" if new.reason else ""))
        if old is not None and new.attempt > old.attempt:
            if new.tenant_id in self.suspended:
                self.refused.add((new.id, new.attempt))
            before = self.claims.setdefault(new.worker_id, new.id)
            self.require("a worker claims once in its life", before == new.id, f"{new.worker_id}: {before}, {new.id}")
        if old is None:
            same = [row for row in self.rows.values() if row.created_by == new.created_by]
            self.require("idempotent requests make one dispatch", len(same) == 1, new.created_by)
            today = [row for row in self.rows.values() if row.tenant_id == new.tenant_id]
            allowed = len(today) <= self.scenario.daily[new.tenant_id]
            self.require("no tenant is over its daily limit", allowed, f"{new.tenant_id}: {len(today)}")
            return
        self._check_author(old, new)
        self._check_fairness(old, new)
        self._check_step(old, new)
        if old.lease is not None and new.lease != old.lease:
            self._check_end_of_lease(old, new)

    def _check_texts(self, change: Change) -> None:
        """The row is small, and what does not fit into it is there."""
        small = item_bytes(change.new or {}) < ROW_BYTES
        self.require("rows stay small", small, change.key[0])
        beside = details_key(from_attributes(change.new or {}))
        there = beside is None or beside in self._db.items("dispatches")
        self.require("a row's longer texts are beside it", there, change.key[0])

    def _check_author(self, old: Dispatch, new: Dispatch) -> None:
        """What a worker's request changes, that worker holds."""
        host = self.scheduler.host()
        name, _, function = (host.name if host else "").partition("/")
        if old.lease is None or new.status is old.status or not function.startswith("broker"):
            return
        holder = self._task(old.worker_id)
        mine = holder is not None and holder.host.name == name
        self.require("only its holder changes a dispatch", mine, f"{name} changes {old.id}, held by {old.worker_id}")
        starts = new.status is Status.RUNNING
        lost = starts and self._is_lost(old.worker_id)
        self.require("a worker declared lost starts no agent", not lost, f"{name} with {old.id}")

    def _check_fairness(self, old: Dispatch, new: Dispatch) -> None:
        """Where nothing fails, a tenant that could be served is passed over at most for who was served less lately."""
        if not self.faults.calm or not (old.status is Status.PENDING and new.status is Status.PROVISIONING):
            return
        now, mine = self.scheduler.wall(), self.served.get(new.tenant_id, 0.0)
        for row in self.rows.values():
            waits = row.status is Status.PENDING and row.spec.agent is new.spec.agent
            if not waits or now - row.queued_at < timedelta(seconds=SETTLED) or row.tenant_id == new.tenant_id:
                continue
            busy = sum(r.tenant_id == row.tenant_id and r.slot is not None for r in self.rows.values())
            theirs = self.served.get(row.tenant_id, 0.0)
            served = row.tenant_id not in self.suspended and busy < self.scenario.tenants[row.tenant_id]
            passed = served and theirs < mine and now - row.queued_at
            self.require("tenants are served fairly", not passed, f"{new.tenant_id} before {row.tenant_id}")
        self.served[new.tenant_id] = self.scheduler.now

    def _check_step(self, old: Dispatch, new: Dispatch) -> None:
        legal = new.status is old.status or new.status in EDGES[old.status]
        ended = old.status.terminal and new != old
        self.require("terminal states never change", not ended, f"{new.id}: {old.status} -> {new.status}")
        self.require("only edges of the contract", legal, f"{new.id}: {old.status} -> {new.status}")
        self.require("versions grow by one", new.version == old.version + 1, f"{new.id}: {old.version}, {new.version}")
        claimed = old.status is Status.PENDING and new.status is Status.PROVISIONING
        self.require("a claim is a new attempt", new.attempt == old.attempt + claimed, f"{new.id}: {new.attempt}")

    def _check_end_of_lease(self, old: Dispatch, new: Dispatch) -> None:
        stored = self.summaries.get((old.id, old.attempt))
        kept = stored is None or new.status is Status.SUCCESS
        self.require("an uploaded success is never lost", kept, f"{old.id} is {new.status}, stored at {stored}")
        lost = new.status is Status.PENDING or (new.reason and new.reason.code in ("WORKER_LOST", "SPOT_INTERRUPTED"))
        worker = self._task(old.worker_id)
        broker = self.scheduler.host()
        if lost and worker is not None and not (broker and broker.function == "broker"):  # that gives a claim back
            dead = not self._beats(worker)
            self.require("no live worker is declared lost", dead, f"{worker.host.name} with {old.id}")

    def _beats(self, task: Task) -> bool:
        """Return whether a worker is alive, and seen to be, or unseen for no fault of its own."""
        now, host = self.scheduler.now, task.host
        if not task.running or task.stopped is not None or task.stop_asked is not None or host.dead:
            return False
        if host.main is not None and host.main.dead:
            return False
        if host.frozen_until > now - 2 * BEAT_SECONDS or host.cut_off[0] <= now <= host.cut_off[1] + 2 * BEAT_SECONDS:
            return False
        away = ("lambda", "dynamodb")
        heard = self.beats.get(task.id, -1e9)
        silent = now - heard - self.faults.away_seconds(away, heard, now)
        return silent <= BEAT_SECONDS and self.faults.outage_seconds(away, now) < OUTAGE_BOUND

    def _worker_changed(self, change: Change) -> None:
        new, old = change.new, change.old
        worker_id = change.key[1]
        if new is None:
            task = self._task(worker_id)
            if task is not None and old is not None and old["worker_state"]["S"] != "lost":
                self.require("no live worker is declared lost", not self._beats(task), f"{task.host.name} ended")
            return
        heard = old is None or new.get("beat") != old.get("beat") or new["worker_state"] != old["worker_state"]
        if heard and new["worker_state"]["S"] in ("idle", "busy"):
            self.beats[worker_id] = self.scheduler.now
            self.first_beats.setdefault(worker_id, self.scheduler.now)

    def _slot_changed(self, change: Change) -> None:
        tenant = change.key[0].removeprefix("TENANT#")
        taken = [key for key, item in self._db.partition("workers", change.key[0]) if "dispatch_id" in item]
        limit = self.scenario.tenants[tenant]
        self.require("no tenant is over its concurrency", len(taken) <= limit, f"{tenant}: {len(taken)} of {limit}")

    def _workspace_changed(self, change: Change) -> None:
        kept = [key for key in self._db.items("workspaces") if key[0] == change.key[0] and key[1] > "WORKSPACE#"]
        allowed = len(kept) <= QUOTAS["free"].workspaces
        self.require("no tenant is over its quota of workspaces", allowed, f"{change.key[0]}: {len(kept)}")

    def _check_places(self, row: Dispatch) -> None:
        """A row's slot and its place in the queue are as the row says."""
        queued = queue_entry_key(row) in self._db.items("queues")
        pending = row.status is Status.PENDING
        self.require("pending rows, and no others, are queued", queued == pending, f"{row.id} is {row.status}")
        held = [
            key
            for tenant in self.scenario.tenants
            for key, item in self._db.partition("workers", f"TENANT#{tenant}")
            if item.get("dispatch_id") == {"S": row.id}
        ]
        expected = [] if row.slot is None else [(f"TENANT#{row.tenant_id}", f"SLOT#{row.slot:03d}")]
        self.require("a dispatch holds its slot and no other", held == expected, f"{row.id}: {held}, not {expected}")
        if row.spec.workspace_id is not None:
            kept = self._db.items("workspaces").get((f"TENANT#{row.tenant_id}", f"WORKSPACE#{row.spec.workspace_id}"))
            holds = kept is not None and kept.get("dispatch_id") == {"S": row.id}
            self.require("live rows, and no others, hold workspaces", holds != row.status.terminal, row.id)
        live = not row.status.terminal and not pending
        self.require("a held dispatch has a slot", (row.slot is not None) == live, f"{row.id} is {row.status}")

    def stored(self, key: str, body: bytes) -> None:
        """Note the summary of a success that the holder of a dispatch stores."""
        if not key.endswith("/summary.json"):
            return
        dispatch_id, attempt = key.split("/")[3], int(key.split("/")[4])
        row = self.rows[dispatch_id]
        summary = json.loads(body)
        self.log(f"dispatch {self.number_of(dispatch_id)}", f"summary of attempt {attempt}: {summary['outcome']}")
        if summary["outcome"] == "success" and row.attempt == attempt and row.lease is not None:
            self.summaries[dispatch_id, attempt] = self.scheduler.now

    def accepted(self, order: Order, dispatch_id: str) -> None:
        """A client's request was answered."""
        known = self.accepted_ids.setdefault(order.number, dispatch_id)
        self.require("idempotent requests make one dispatch", known == dispatch_id, f"{known} and {dispatch_id}")

    def agent_starts(self, host: Host, dispatch_id: str, attempt: int) -> None:
        """An agent is started."""
        self.log(host.name, f"agent of dispatch {self.number_of(dispatch_id)} starts, attempt {attempt}")
        before, row = self.starts[dispatch_id], self.rows[dispatch_id]
        refused = (dispatch_id, attempt) in self.refused
        self.require("nothing of a suspended tenant starts", not refused, f"{dispatch_id} of {row.tenant_id}")
        allowed = not before or row.spec.retryable
        self.require("nothing runs twice without permission", allowed, f"{dispatch_id}: {before} and {attempt}")
        before.append(attempt)

    def status_changed(self, tenant_id: str, status: str) -> None:
        """A tenant was suspended or resumed."""
        if status == "suspended":
            self.suspended.add(tenant_id)
            return
        self.suspended.discard(tenant_id)
        self.refused = {each for each in self.refused if self.rows[each[0]].tenant_id != tenant_id}

    def spent(self, dispatch_id: str, usd: float) -> None:
        """A model call costs so much: no budget is passed."""
        self.spendings[dispatch_id] += usd
        row = self.rows[dispatch_id]
        sums = {"dispatch": self.spendings[dispatch_id], "environment": sum(self.spendings.values())}
        sums["tenant"] = sum(usd for id_, usd in self.spendings.items() if self.rows[id_].tenant_id == row.tenant_id)
        limits = {"dispatch": row.spec.max_cost_usd, "environment": self.scenario.budget}
        limits["tenant"] = self.scenario.budgets[row.tenant_id]
        for scope, limit in limits.items():
            within = limit is None or to_micros(sums[scope]) <= to_micros(limit)
            self.require("no budget is passed", within, f"{dispatch_id}: {sums[scope]} of the {scope}'s {limit} USD")

    def _month_changed(self, change: Change) -> None:
        """What is charged and held stays within the budget."""
        tenant, totals = change.key[0].split("#")[1], from_attributes(change.new or {})
        limit = self.scenario.budget if tenant == ENVIRONMENT_TOTALS else self.scenario.budgets[tenant]
        charged, committed = int(totals.get("charged", 0)), int(totals.get("committed", 0))
        text = f"{change.key[0]}: {charged} charged, {committed} committed of {limit} USD"
        self.require("what is charged was granted", 0 <= charged <= committed, text)
        self.require("no more is granted than a budget has", limit is None or committed <= to_micros(limit), text)

    def agent_ends(self, host: Host, dispatch_id: str, attempt: int) -> None:
        """An agent has ended."""
        self.log(host.name, f"agent of dispatch {self.number_of(dispatch_id)} ended, attempt {attempt}")

    def exited(self, task: Task, code: int) -> None:
        """A worker's program ended: not because a response wrongly said that it holds nothing."""
        row = next((row for row in self.rows.values() if row.lease is not None and row.worker_id == task.id), None)
        holds = row is not None and not self._is_lost(task.id)  # one that is declared lost is refused from then on
        self.require("no holder is told that its lease is lost", not (holds and code == EXIT_LOST), task.host.name)

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

    def _is_lost(self, worker_id: str | None) -> bool:
        return any(row.get("worker_state") == {"S": "lost"} for row in self._worker_rows(worker_id))

    def _worker_rows(self, worker_id: str | None) -> list[Item]:
        items = self._db.items("workers")
        rows = (items.get((f"WORKERS#{agent}", worker_id or "")) for agent in self.scenario.agents)
        return [row for row in rows if row is not None]

    def _count_demand(self) -> None:
        wanted: dict[Agent, int] = defaultdict(int)
        for tenant, limit in self.scenario.tenants.items():
            rows = (row for row in self.rows.values() if row.tenant_id == tenant and row.status is Status.PENDING)
            pending = sorted(row.id for row in rows)
            varies = any(self._is_postponed(self.rows[id_]) for id_ in pending)  # which of them may be claimed
            for id_ in pending if varies else pending[:limit]:
                wanted[self.rows[id_].spec.agent] += 1
        self.demand.append((self.scheduler.now, dict(wanted)))

    def _is_postponed(self, row: Dispatch) -> bool:
        return "not_before" in self._db.items("queues").get(queue_entry_key(row), {})

    def launched(self, made: Sequence[Task]) -> None:
        """Tasks were launched: no more than were wanted a while ago."""
        for task in made:
            self.log(task.host.name, f"launched: revision {task.revision}")
        for agent, settings in self.scenario.agents.items():
            new = [task for task in made if task.family == settings.family]
            if not new:
                continue
            alive = [task for task in self._ecs.tasks.values() if task.family == settings.family and self._counts(task)]
            self.require("no agent is over its limit", len(alive) <= settings.limit, f"{agent}: {len(alive)}")
            free = [task for task in alive if not self._has_claimed(task) and task.revision == self._ecs.revision]
            peak = self._peak(agent)
            text = f"{agent}: {len(free)} free workers for {peak} dispatches and {settings.warm} warm"
            self.require("launches are bounded by demand", len(free) <= peak + settings.warm, text)

    def _peak(self, agent: Agent) -> int:
        """Return the most that was wanted of an agent at once in the last while."""
        since = self.scheduler.now - DEMAND_SECONDS
        recent = [wanted.get(agent, 0) for at, wanted in self.demand if at >= since]
        before = [wanted.get(agent, 0) for at, wanted in self.demand if at < since]
        return max([*recent, *before[-1:]], default=0)

    def _counts(self, task: Task) -> bool:
        """Return whether a task is one that the planner can and must count."""
        now = self.scheduler.now
        if task.stopped is not None or task.stop_asked is not None or task.host.frozen_until > now - 100:
            return False
        limit, asked = STARTING_SECONDS - 2 * self.faults.skew, self.first_beats.get(task.id)
        if not task.running or asked is None:
            return now - task.created < limit
        if asked - task.created >= limit and now - asked < PLANNER_SECONDS:
            return False  # a planner that has given it up may have read the workers before
        return not task.host.cut_off[0] <= now <= task.host.cut_off[1] + 100

    def _has_claimed(self, task: Task) -> bool:
        return any("dispatch_id" in row for row in self._worker_rows(task.id))

    def _task(self, worker_id: str | None) -> Task | None:
        return next((task for task in self._ecs.tasks.values() if task.id == worker_id), None)

    def all_ended(self) -> bool:
        """Return whether all dispatches have ended."""
        return all(row.status.terminal for row in self.rows.values())

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
                yield f"the row of worker {_short(sk)} outlives its task"
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


def _state(row: Dispatch) -> str:
    return ENDED if row.status.terminal else str(row.status)


def _short(worker_id: str | None) -> str:
    return str(int(worker_id, 16)) if worker_id else "-"
