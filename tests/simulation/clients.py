"""The clients of a schedule: they repeat their requests until they are accepted, and some cancel."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, TransitionError
from outpost.domain.workspaces import QUOTAS, Workspace, expiry, open_places
from outpost.fleet.wakeups import Wakeups
from outpost.store.database import ContentionError, Database
from outpost.store.dispatches import DailyLimitError, Dispatches, Idempotency, WorkspaceTakenError
from outpost.store.workspaces import Workspaces
from tests.simulation.faults import Faults
from tests.simulation.invariants import Monitor
from tests.simulation.scenario import Order, Scenario
from tests.simulation.scheduler import Host, Scheduler
from tests.simulation.workers import MODEL

ANSWER_SECONDS = 2_000.0
"""Seconds after the last fault within which a client that repeats its request is accepted; it may want a workspace."""


class Clients:
    """What clients do with the store, as the control plane handles their requests."""

    def __init__(self, scenario: Scenario, faults: Faults, scheduler: Scheduler, monitor: Monitor) -> None:
        self.scenario, self.faults, self.scheduler, self.monitor = scenario, faults, scheduler, monitor
        self._waiting: set[Host] = set()
        """Those that repeat their request."""

    @property
    def all_answered(self) -> bool:
        """Return whether nobody waits for a response."""
        return not self._waiting

    def start(self, order: Order, copy: int) -> None:
        """Start a client of a dispatch, which no longer waits for a response once it has died."""
        client = Host(f"client-{order.number}.{copy}", self.faults.seed)
        client.on_death.append(partial(self._waiting.discard, client))
        self._waiting.add(client)
        self.scheduler.start(client, partial(self._dispatch, order), order.at + 0.5)

    def _dispatch(self, order: Order) -> None:
        """Repeat a request until it is accepted, and cancel where the client wants to."""
        row, store = self._accept(order)
        self._waiting.discard(self.scheduler.process().host)
        if row is None:
            return
        self.monitor.accepted(order, row.id)
        if order.cancel_after is not None:
            self.scheduler.wait(order.cancel_after)
            self._cancel(store, row.id)

    def _accept(self, order: Order) -> tuple[Dispatch | None, Dispatches]:
        """Repeat a request until it is accepted; the row is None when the tenant has used up its day."""
        database = Database.from_environment()
        store = Dispatches(database, Wakeups.from_environment(self.scenario.agents))
        row = None
        while row is None:
            waits = self.scheduler.now < max(self.faults.until, order.at) + ANSWER_SECONDS
            self.monitor.require("clients get responses", waits, order.label)
            try:
                row = self._request(order, store, Workspaces(database))
            except DailyLimitError:
                break
            except WorkspaceTakenError:
                self.scheduler.wait(20)
            except (BotoCoreError, ClientError, ContentionError):
                self.scheduler.wait(self.scheduler.process().host.random.uniform(1, 20))
        return row, store

    def _request(self, order: Order, store: Dispatches, workspaces: Workspaces) -> Dispatch:
        """Make one request, as the control plane handles it (control_plane/services/dispatches.py for workspaces)."""
        key, row = Idempotency(key=f"key-{order.number}", body_sha256="same"), self._row(order)
        daily, writes = self.scenario.daily[order.tenant], []
        if order.in_workspace:
            if earlier := store.replay(order.tenant, key, now()):
                return earlier
            kept = list(workspaces.all(order.tenant))
            row = row.model_copy(update={"spec": row.spec.model_copy(update=_workspace_of(row, kept))})
            places = open_places(kept, workspaces.places(order.tenant), QUOTAS["free"])
            writes = workspaces.placing(_new_workspace(row), places[0]) if not kept else [workspaces.taking(row)]
        return store.create(row, "echo hello", daily, key, writes)

    def _cancel(self, store: Dispatches, dispatch_id: str) -> None:
        for _ in range(20):
            try:
                store.change(dispatch_id, Cancel("not needed", now()))
            except TransitionError:
                return
            except (BotoCoreError, ClientError, ContentionError):
                self.scheduler.wait(3)
            else:
                return

    def _row(self, order: Order) -> Dispatch:
        spec = Spec(
            agent=order.agent,
            model_id=MODEL,
            max_cost_usd=order.max_cost,
            retryable=order.retryable,
            timeout_seconds=order.timeout,
            queue_timeout_seconds=order.queue_timeout,
            tags=_TAGS if order.number % 3 == 0 else {},
        )
        return Dispatch(
            id=new_id(),
            tenant_id=order.tenant,
            created_by=f"otp_{order.number:08d}",
            spec=spec,
            created_at=now(),
            queued_at=now(),
            expires_at=int((now() + timedelta(days=180)).timestamp()),
        )


_TAGS = {f"{number:02d}": "v" * 256 for number in range(20)}
"""More than a row has room for."""


def _workspace_of(row: Dispatch, kept: Sequence[Workspace]) -> dict[str, str]:
    return {"workspace_mode": "persistent", "workspace_id": kept[0].id if kept else row.id}


def _new_workspace(row: Dispatch) -> Workspace:
    return Workspace(
        id=row.spec.workspace_id or "",
        tenant_id=row.tenant_id,
        created_at=row.created_at,
        used_at=row.created_at,
        expires_at=expiry(row.created_at),
        dispatch_id=row.id,
    )
