"""What must hold after every write, whatever fails."""

import json
from collections.abc import Sequence
from datetime import timedelta

from outpost.domain.budgets import to_micros
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import EDGES
from outpost.domain.workspaces import QUOTAS
from outpost.store.budgets import ENVIRONMENT as ENVIRONMENT_TOTALS
from outpost.store.database import from_attributes
from outpost.store.keys import ROW
from outpost.store.rows import ROW_BYTES, details_key, item_bytes, queue_entry_key, row_from
from tests.simulation.dynamodb import Change
from tests.simulation.ecs import Task
from tests.simulation.endings import Endings, short
from tests.simulation.observed import state_name
from tests.simulation.scenario import Order
from tests.simulation.scheduler import Host
from tests.simulation.supply import Supply
from worker.attempt import EXIT_LOST

BEAT_SECONDS = 30.0
"""A worker whose latest heartbeat was counted less long ago is alive."""
OUTAGE_BOUND = 8 * 3_600.0
"""The longest silence of the whole fleet for which no worker is declared lost."""
SETTLED = 5.0
"""A dispatch that waits for less may not have been seen by a claim that is made at the same time."""


class Monitor(Supply, Endings):
    """Sees every write, every start of an agent and every launch."""

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
            self.faults.met[kind, state_name(new)] += 1
        self._count_demand()
        what = (
            f"{old.status if old else 'nothing'} -> {new.status}, attempt {new.attempt}, worker {short(new.worker_id)}"
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
        self.require("a row's details are beside it", there, change.key[0])

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
