"""Schedules notice what is removed from the code: fencing, conditions, reconciler, intents, recovery, idempotency."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.aws import Recorded
from tests.simulation.mutations import CONDITIONS, HARMLESS, MUTATIONS, Mutation, caught
from tests.simulation.simulate import Simulator, simulator

SEEDS = range(600)
"""Within so many schedules each mutation is caught."""
QUICK = ("dispatches: version = :version", "the reconciler", "recovery from summaries")
"""Mutations that few schedules catch, for `make test`."""


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with simulator() as made:
        yield made


def check(simulated: Simulator, mutation: Mutation) -> None:
    run = caught(simulated, mutation, SEEDS)
    assert run is not None, f"without {mutation.name} nothing is violated in {len(SEEDS)} schedules"


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.name in QUICK], ids=lambda m: m.name)
def test_schedules_notice_what_is_removed(simulated: Simulator, mutation: Mutation) -> None:
    check(simulated, mutation)


@pytest.mark.full
@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.name not in QUICK], ids=lambda m: m.name)
def test_longer_runs_notice_what_is_removed(simulated: Simulator, mutation: Mutation) -> None:
    check(simulated, mutation)


def test_every_condition_of_a_write_is_removed_once_or_named_as_harmless(simulated: Simulator) -> None:
    found: set[tuple[str, str]] = set()
    for seed in range(20):
        recorded: list[Recorded] = []
        simulated.run(seed, recorded=recorded)
        for each in recorded:
            if each.service == "dynamodb":
                found |= conditions(each.request)
    assert found <= {*CONDITIONS, *HARMLESS}


def conditions(request: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the tables and conditions of a request's writes."""
    writes = [part for write in request.get("TransactItems", ()) for part in write.values()] or [request]
    return {(write["TableName"], write["ConditionExpression"]) for write in writes if "ConditionExpression" in write}
