"""Fair shares: a tenant's long queue delays nobody else, and its own dispatches come in order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from broker.broker import Broker
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Lease, Status
from outpost.domain.ids import now
from outpost.domain.protocol import Assignment, ClaimResponse, ReportRequest
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.database import Database
from tests.launched import claim_request, launch

Store = Any
QUEUED = 500


def claim(broker: Broker) -> Assignment | None:
    response = broker.handle(claim_request(launch(broker.store.workers)))
    assert isinstance(response, ClaimResponse)
    return response.assignment


def end(broker: Broker, assignment: Assignment) -> None:
    reason = Reason.of(ReasonCode.CANCELLED_BY_USER, "Enough.")
    lease: Lease = assignment.lease
    report = ReportRequest(dispatch_id=assignment.dispatch_id, lease=lease, outcome=Status.FAILED, reason=reason)
    broker.handle(report)


@pytest.fixture
def crowded(store: Store) -> list[str]:
    """The dispatches of the tenant acme (3 at once), before any other tenant's."""
    with ThreadPoolExecutor(8) as pool:
        return [row.id for row in pool.map(lambda _: store.dispatch("acme"), range(QUEUED))]


def test_five_hundred_queued_dispatches_do_not_delay_another_tenants_first(
    store: Store, broker: Broker, crowded: list[str]
) -> None:
    served = [claim(broker)]
    late = store.dispatch("globex")
    served.append(claim(broker))
    assert [each.tenant_id for each in served if each] == ["acme", "globex"]
    assert served[1] is not None
    assert served[1].dispatch_id == late.id


def test_tenants_with_work_take_turns_and_none_gets_more_than_its_slots(
    store: Store, broker: Broker, crowded: list[str]
) -> None:
    for _ in range(10):
        store.dispatch("globex")
    held = [assignment for _ in range(7) if (assignment := claim(broker))]
    assert [each.tenant_id for each in held] == ["acme", "globex", "acme", "globex", "acme"]
    for each in held[:2]:
        end(broker, each)
    held = [assignment for _ in range(3) if (assignment := claim(broker))]
    assert [each.tenant_id for each in held] == ["globex", "acme"]


def test_entries_that_have_to_wait_are_passed_over_in_bounded_reads(store: Store, database: Database) -> None:
    at = now()
    wait = (at + timedelta(seconds=60)).isoformat()
    with ThreadPoolExecutor(8) as pool:
        entries = [{"pk": "QUEUE#shell", "sk": f"acme#{n:05}", "not_before": wait} for n in range(400)]
        list(pool.map(lambda entry: database.put(database.queues, entry), entries))
    row = store.dispatch("acme")
    with store.reads() as reads:
        assert store.dispatches.live.queued(Agent.SHELL, "acme", limit=1, at=at) == []
        assert store.dispatches.live.queued(Agent.SHELL, "acme", limit=1, at=at + timedelta(seconds=61)) == ["00000"]
    assert reads.calls["Query"] <= 11
    assert reads.items <= 300
    for entry in entries[:150]:
        database.delete(database.queues, "QUEUE#shell", entry["sk"])
    assert store.dispatches.live.queued(Agent.SHELL, "acme", limit=6, at=at) == [row.id]


def test_a_tenants_own_dispatches_start_in_the_order_in_which_they_came(
    store: Store, broker: Broker, crowded: list[str]
) -> None:
    served = [assignment.dispatch_id for _ in range(3) if (assignment := claim(broker))]
    assert served == sorted(crowded)[:3]
