"""What a claim costs does not grow with the tenants that wait, and each of them has its turn."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from broker.broker import Broker
from broker.candidates import EXAMINED, WINDOW
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.protocol import ClaimResponse
from outpost.domain.tenants import Limits, Tenant
from outpost.store.database import Database, Item, to_attributes
from outpost.store.rows import items_of, queue_entry
from tests.launched import claim_request, launch

Store = Any
LIMITS = Limits(concurrent=2, daily=100, timeout_seconds=600)


def fill(database: Database, tenants: int, each: int = 1, rows: int = 10_000) -> list[str]:
    """Give tenants pending dispatches, the first ones whole, of the others entries in the queue; return their ids."""
    names = [f"t{number:05d}" for number in range(tenants)]
    made = [dispatch(name) for name in names for _ in range(each)]
    write(database, database.queues, map(queue_entry, made))
    write(database, database.dispatches, (items_of(row)[0] for row in made[:rows]))
    text = {"sk": "TASK", "task": "echo", "expires_at": made[0].expires_at}
    write(database, database.dispatches, (to_attributes({"pk": f"DISPATCH#{row.id}"} | text) for row in made[:rows]))
    write(database, database.tenants, map(tenant_item, names[:rows]))
    return names


def dispatch(tenant_id: str) -> Dispatch:
    return Dispatch(
        id=new_id(),
        tenant_id=tenant_id,
        created_by="otp_",
        spec=Spec(agent=Agent.SHELL),
        expires_at=int(now().timestamp()) + 3600,
        created_at=now(),
        queued_at=now(),
    )


def tenant_item(name: str) -> Item:
    tenant = Tenant(id=name, name=name, overrides=LIMITS, created_at=now())
    item = {"pk": f"TENANT#{name}", "sk": "TENANT", "tenant_id": "*", "document": tenant.model_dump_json()}
    return to_attributes(item)


def write(database: Database, table: str, items: Iterator[Mapping[str, Any]]) -> None:
    while some := [{"PutRequest": {"Item": item}} for item in islice(items, 25)]:
        database.client.batch_write_item(RequestItems={table: some})  # type: ignore[dict-item]


def claim(broker: Broker) -> str | None:
    """Let a new worker claim; return the tenant that it serves."""
    response = broker.handle(claim_request(launch(broker.store.workers)))
    assert isinstance(response, ClaimResponse)
    return response.assignment.tenant_id if response.assignment else None


@pytest.mark.parametrize("tenants", [1, 100, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_claim_reads_a_fixed_number_of_items(store: Store, broker: Broker, database: Database, tenants: int) -> None:
    fill(database, tenants, rows=128)
    with store.reads() as reads:
        assert claim(broker) == "t00000"
    reading = reads.calls["Query"] + reads.calls["GetItem"]
    assert reading <= (10 if tenants == 1 else 40), reads.calls  # of each tenant its row and its slots
    assert sum(reads.calls.values()) - reading <= 5, reads.calls
    assert reads.items <= 80


def test_where_one_of_many_tenants_has_a_free_slot_the_claims_find_it_a_fixed_number_of_tenants_at_a_time(
    store: Store, broker: Broker, database: Database
) -> None:
    names = fill(database, 2 * EXAMINED + 2)
    held = {"dispatch_id": "x", "claimed_at": now().isoformat()}
    slots = [{"pk": f"TENANT#{name}", "sk": f"SLOT#{slot:03d}"} | held for name in names[:-1] for slot in range(2)]
    write(database, database.workers, map(to_attributes, slots))
    with store.reads() as reads:
        assert [claim(broker), claim(broker), claim(broker)] == [None, None, names[-1]]
    assert sum(reads.calls.values()) <= 3 * (2 * EXAMINED + 40), reads.calls


def test_of_many_tenants_each_has_its_turn(broker: Broker, database: Database) -> None:
    names = fill(database, 3 * WINDOW + 5, each=2)
    first = [claim(broker) for _ in names]
    counts = Counter(first)
    assert len(counts) >= 0.9 * len(names)
    assert max(counts.values()) <= 2
    assert {*first, *(claim(broker) for _ in range(WINDOW))} == set(names)


def test_claims_at_the_same_moment_begin_at_different_tenants(broker: Broker, database: Database) -> None:
    """Otherwise all would try the same dispatch."""
    fill(database, 3 * WINDOW)
    begun = [next(replace(broker)._claims.candidates.of(Agent.SHELL, now())).tenant_id for _ in range(3)]
    assert len(set(begun)) == 3
