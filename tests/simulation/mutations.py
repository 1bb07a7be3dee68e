"""What is removed from the code, one at a time, to see that schedules notice."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

import reconciler.handler
import reconciler.silence
from outpost.domain.artifacts import Summary
from outpost.domain.dispatch import Dispatch, Lease
from outpost.domain.tenants import Tenant
from outpost.store.artifacts import Artifacts
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.tenants import Tenants
from outpost.store.usage import UsageCounters
from reconciler.worker_check import TaskCheck
from tests.simulation.dynamodb import FakeDynamoDB
from tests.simulation.simulate import Run, Simulator

CONDITIONS = (
    ("dispatches", "attribute_not_exists(pk)"),
    ("dispatches", "attribute_not_exists(dispatched) OR dispatched < :share"),
    ("dispatches", "attribute_not_exists(pk) OR expires_at < :now"),
    ("dispatches", "version = :version"),
    ("queues", "attribute_exists(pk)"),
    ("workers", "attribute_exists(pk) AND attribute_not_exists(dispatch_id) AND worker_state <> :lost"),
    ("workers", "attribute_not_exists(dispatch_id)"),
    ("workers", "attribute_not_exists(pk)"),
    ("workers", "held_by = :me AND fencing_token = :token"),
    ("workers", "worker_state = :idle AND attribute_not_exists(dispatch_id)"),
    ("workspaces", "attribute_not_exists(dispatch_id) AND expires_at > :epoch"),
    ("workspaces", "attribute_not_exists(pk)"),
)
"""Conditions of writes that schedules must notice when they are not checked, by table."""
HARMLESS = {
    ("dispatches", "attribute_not_exists(committed) OR committed <= :room"): (
        "two grants at once from one budget, seldom in a schedule; tests/store/test_budgets.py brings that about"
    ),
    ("workers", "attribute_exists(held_by)"): "a note to a planner that has just left is read by the next",
    ("workers", "fencing_token = :held AND worker_state = :busy"): (
        "a heartbeat, or the start of an agent, of a worker that is declared lost and whose dispatch is not closed "
        "yet; tests/store/test_broker.py brings that about"
    ),
    ("workers", "beat = :beat AND worker_state = :state"): (
        "a heartbeat between the reconciler's read and its write; tests/store/test_reconciler.py brings that about"
    ),
    ("workers", "attribute_exists(pk) AND attribute_not_exists(dispatch_id)"): (
        "counts a sign of life of a worker that cannot be served now"
    ),
    ("workers", "attribute_not_exists(held_by) OR held_until < :now OR held_by = :me"): (
        "admits one planner; two at once are distinguished by the token that fences each launch"
    ),
    ("workers", "holder = :me"): "two invocations of the reconciler that mix observations lose some, and count less",
    ("workers", "dispatch_id = :id"): "asserts what the row's own version implies",
    ("workers", "document = :old"): "counts failures to launch; a lost one makes a pause shorter",
    ("workers", "held_by = :me AND fencing_token = :token AND attribute_not_exists(look_again)"): (
        "a wish to look again that is overlooked waits for the planner's schedule"
    ),
    ("workspaces", "dispatch_id = :id"): "asserts what the row's own version implies; sizes are not simulated",
    ("workspaces", "saves = :count"): "sizes are far below every limit; tests/store/test_workspace_sizes.py races them",
    ("workspaces", "workspace_id = :last"): "places are taken again only after a deletion, which is not simulated",
}
"""Conditions that can be left unchecked without a violation, and why."""


@dataclass(frozen=True)
class Mutation:
    """A part of the code that is removed."""

    name: str
    apply: Callable[[pytest.MonkeyPatch], None]


def _without(owner: Any, name: str, replacement: object) -> Callable[[pytest.MonkeyPatch], None]:  # noqa: ANN401
    return lambda patch: patch.setattr(owner, name, replacement)


def _unchecked(table: str, condition: str) -> Mutation:
    ignored = frozenset({(table, condition)})
    return Mutation(f"{table}: {condition}", _without(FakeDynamoDB, "ignored_conditions", ignored))


def _nothing(*_: object, **__: object) -> None:
    return None


_read_tenant = Tenants.get


def _lost(_: Artifacts, __: Dispatch, lost: Summary) -> Summary:
    return lost


def _active(tenants: Tenants, tenant_id: str) -> Tenant | None:
    found = _read_tenant(tenants, tenant_id)
    return found and found.model_copy(update={"status": "active"})


def _no_intents(*_: object) -> tuple[()]:
    return ()


MUTATIONS = (
    Mutation("fencing", _without(Lease, "__eq__", lambda self, other: isinstance(other, Lease))),
    Mutation("the reconciler", _without(reconciler.handler, "handler", _nothing)),
    Mutation("intents", _without(Launches, "intents", _no_intents)),
    Mutation("recovery from summaries", _without(Artifacts, "settle_summary", _lost)),
    Mutation("suspension", _without(Tenants, "get", _active)),
    Mutation("settlement of grants", _without(UsageCounters, "_settling", _no_intents)),
    Mutation("a lease of 30 s", _without(reconciler.silence, "LEASE", timedelta(seconds=90))),
    Mutation("ECS's list in the reconciler", _without(TaskCheck, "run", _nothing)),
    Mutation("idempotency", _without(Dispatches, "replay", _nothing)),
    *(_unchecked(table, condition) for table, condition in CONDITIONS),
)


def caught(simulator: Simulator, mutation: Mutation, seeds: range) -> Run | None:
    """Return the first run that violates an invariant only under a mutation, None: no seed's does."""
    for seed in seeds:
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            run = simulator.run(seed)
        if run.violated is not None and simulator.run(seed).violated is None:
            return run
    return None
