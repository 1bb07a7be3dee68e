"""Dispatches are created whole or not at all, changed only by who read them last, and listed without loss."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from control_plane.schemas.dispatches import DispatchRequest
from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, Claim, Start, TransitionError
from outpost.fleet.store import Store as Parts
from outpost.names import Env
from outpost.store import keys
from outpost.store.database import key
from outpost.store.dispatches import DailyLimitError, Idempotency, IdempotencyConflictError, shares
from outpost.store.rows import ROW_BYTES
from outpost.store.schema import ACTIVE_SHARDS

Store = Any


def fresh(tenant_id: str = "acme") -> Dispatch:
    return Dispatch(
        id=new_id(),
        tenant_id=tenant_id,
        created_by="otp_00000000",
        spec=Spec.model_validate({"agent": "shell", "tags": {"team": "blue"}}),
        expires_at=int(now().timestamp()) + 3600,
        created_at=now(),
        queued_at=now(),
    )


def test_a_created_dispatch_is_read_back_as_it_was_with_its_text(store: Store) -> None:
    row = store.dispatches.create(fresh(), "x" * 50_000, daily_limit=5)
    assert store.dispatches.get(row.id) == row
    assert store.dispatches.task(row.id) == "x" * 50_000
    assert store.messages() == 1


LARGEST = {
    "agent": "shell",
    "model_id": "m" * 128,
    "repo": "r" * 500,
    "branch": "\N{GRINNING FACE}" * 255,
    "workspace_mode": "persistent",
    "workspace_id": new_id(),
    "workspace_init_mode": "minimal",
    "timeout_seconds": 86_400,
    "additional_secrets": [f"S{number:063d}" for number in range(20)],
    "retryable": True,
}
"""Every field of a request at its limit, but for the tags."""
TAGS = {f"{number:02d}".ljust(64, "k"): "v" * 256 for number in range(20)}
UNPRINTABLE_TAGS = {f"{number:02d}".ljust(64, "\x01"): "\x01" * 256 for number in range(20)}
"""The largest: JSON writes each of these characters as six."""
LONGEST_TEXT = "\N{GRINNING FACE}" * 50_000


@pytest.mark.parametrize(
    "tags",
    [{}, TAGS, UNPRINTABLE_TAGS],
    ids=["without tags", "with all tags", "with tags that JSON cannot write plainly"],
)
def test_the_row_stays_small_while_the_text_is_large(store: Store, tags: dict[str, str]) -> None:
    request = DispatchRequest.model_validate(LARGEST | {"tags": tags, "task": LONGEST_TEXT}, by_name=True)
    spec = Spec.model_validate(request.model_dump(exclude={"task"}))
    row = store.dispatches.create(fresh().model_copy(update={"spec": spec}), request.task, daily_limit=1)
    assert stored_bytes(store, row.id, "TASK") > 200_000
    assert stored_bytes(store, row.id, "DISPATCH") < ROW_BYTES


def stored_bytes(store: Store, dispatch_id: str, sk: str) -> int:
    """What DynamoDB counts as an item's size: the UTF-8 bytes of its names and values."""
    db = store.dispatches._db
    item = db.client.get_item(TableName=db.dispatches, Key=key(f"DISPATCH#{dispatch_id}", sk))["Item"]
    return sum(len(text.encode()) for name, value in item.items() for text in (name, *value.values()))


@pytest.mark.parametrize("limit", [0, 1, 10, 16, 17, 10_000])
def test_the_shards_of_a_day_share_its_limit(limit: int) -> None:
    assert sum(shares(limit)) == limit
    assert max(shares(limit)) - min(shares(limit)) <= 1


def test_of_many_at_once_exactly_the_daily_limit_is_admitted(store: Store) -> None:
    def create(number: int) -> bool:
        try:
            store.dispatches.create(fresh(), f"task {number}", daily_limit=20)
        except DailyLimitError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(40))) == 20


def test_the_daily_limit_refuses_and_leaves_nothing_behind(store: Store) -> None:
    store.dispatches.create(fresh(), "one", daily_limit=1)
    refused = fresh()
    with pytest.raises(DailyLimitError):
        store.dispatches.create(refused, "two", daily_limit=1)
    assert store.dispatches.get(refused.id) is None
    store.await_indexes()
    assert len(store.dispatches.page("acme", limit=10).rows) == 1


def test_fifty_identical_requests_at_once_make_one_dispatch(store: Store) -> None:
    idempotency = Idempotency("once", "a" * 64)
    with ThreadPoolExecutor(16) as pool:
        rows = list(
            pool.map(lambda _: store.dispatches.create(fresh(), "same", 1_000, idempotency), range(50)),
        )
    assert len({row.id for row in rows}) == 1
    store.await_indexes()
    assert len(store.dispatches.page("acme", limit=100).rows) == 1


def test_an_idempotency_key_with_another_body_is_refused(store: Store) -> None:
    store.dispatches.create(fresh(), "same", 10, Idempotency("k", "a" * 64))
    with pytest.raises(IdempotencyConflictError, match="use a new key"):
        store.dispatches.create(fresh(), "other", 10, Idempotency("k", "b" * 64))


def test_an_idempotency_key_is_forgotten_after_a_day(store: Store) -> None:
    first = store.dispatches.create(fresh(), "same", 10, Idempotency("k", "a" * 64))
    later = fresh().model_copy(update={"created_at": now() + timedelta(hours=25)})
    assert store.dispatches.create(later, "other", 10, Idempotency("k", "b" * 64)).id != first.id


def test_a_lost_race_reads_again_and_applies_to_what_is_there(store: Store) -> None:
    row = store.dispatch()
    with ThreadPoolExecutor(8) as pool:
        refused = list(pool.map(lambda n: _claim_is_refused(store, row.id, n), range(8)))
    assert refused.count(False) == 1
    assert store.dispatches.get(row.id).attempt == 1


def test_a_row_that_has_changed_since_it_was_read_is_read_again(store: Store) -> None:
    row = store.dispatch()
    claimed = store.dispatches.change(row.id, Claim("w1", 0, now()))
    assert claimed.lease
    started = store.dispatches.change(row.id, Start(claimed.lease, now()), known=row)  # whose lease was none
    assert started.status is Status.RUNNING
    with store.reads() as reads, pytest.raises(TransitionError):
        store.dispatches.change(row.id, Claim("w2", 0, now()), known=started)
    assert reads.calls["GetItem"] == 1


def test_reading_dispatches_needs_no_queues_and_no_settings(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    row = store.dispatch()
    monkeypatch.delenv(Env.AGENTS)
    reading = Parts.from_environment()
    assert reading.rows.get(row.id) == row
    assert reading.rows.live.queued(Agent.SHELL, "acme", limit=9) == [row.id]
    with pytest.raises(KeyError, match=Env.AGENTS):
        _ = reading.dispatches


def _claim_is_refused(store: Store, dispatch_id: str, number: int) -> bool:
    try:
        store.dispatches.change(dispatch_id, Claim(f"w{number}", number, now()))
    except TransitionError:
        return True
    return False


def test_only_live_dispatches_are_active_and_only_pending_ones_queued(store: Store) -> None:
    ended, waiting = store.dispatch(), store.dispatch()
    store.dispatches.change(ended.id, Cancel(None, now()))
    store.await_indexes()
    assert [row.id for shard in range(ACTIVE_SHARDS) for row in store.dispatches.live.page(shard, " ", 10)] == [
        waiting.id
    ]
    assert store.dispatches.live.queued("shell", "acme", limit=10) == [waiting.id]


def test_tenants_with_work_are_found_by_one_read_each_however_long_a_queue_is(store: Store) -> None:
    store.dispatch("acme")
    store.dispatch("globex")
    for more in (0, 300):
        for _ in range(more):
            store.dispatch("acme")
        with store.reads() as reads:
            assert list(store.dispatches.live.tenants("shell")) == ["acme", "globex"]
        assert (reads.calls, reads.items) == ({"Query": 3}, 2)


def test_the_cost_of_a_page_grows_with_the_page_and_never_with_history(store: Store) -> None:
    for _ in range(25):
        store.dispatch()
    for more in (0, 300):
        store.history(more)
        store.await_indexes()
        with store.reads() as reads:
            first = store.dispatches.page("acme", limit=10)
            store.dispatches.page("acme", limit=10, before=first.last_id)
        assert (reads.calls, reads.items) == ({"Query": 2}, 2 * (10 + 2))


def test_pages_lose_and_double_nothing_while_rows_are_added(store: Store) -> None:
    before = [store.dispatch().id for _ in range(7)]
    store.await_indexes()
    seen, last = [], None
    while True:
        page = store.dispatches.page("acme", limit=3, before=last)
        seen += [row.id for row in page.rows]
        store.dispatch()
        last = page.last_id
        if last is None:
            break
    assert seen == sorted(before, reverse=True)


def test_a_filtered_page_goes_on_where_the_last_match_was(store: Store) -> None:
    ids = [store.dispatch().id for _ in range(6)]
    for id_ in ids[::2]:
        store.dispatches.change(id_, Cancel(None, now()))
    store.await_indexes()
    cancelled = lambda row: row.status is Status.CANCELLED  # noqa: E731
    first = store.dispatches.page("acme", limit=2, matches=cancelled)
    rest = store.dispatches.page("acme", limit=2, before=first.last_id, matches=cancelled)
    assert [row.id for row in first.rows + rest.rows] == ids[::2][::-1]
    assert rest.last_id is None


def test_tenants_see_only_their_own_dispatches(store: Store) -> None:
    store.dispatch("acme")
    store.await_indexes()
    assert store.dispatches.page("globex", limit=10).rows == []


def test_rows_without_the_attributes_of_their_state_are_read_many_at_a_time(store: Store) -> None:
    """As the release before wrote them."""
    rows, db = [store.dispatch() for _ in range(3)], store.dispatches._db
    for row in rows:
        db.client.update_item(
            TableName=db.dispatches, Key=key(*keys.row(row.id)), UpdateExpression="REMOVE due_at, worker_id"
        )
    gone = new_id()
    with store.reads() as reads:
        states = store.dispatches.live.states([*(row.id for row in rows), gone])
    assert states == {row.id: RowState.of(row) for row in rows}
    assert set(reads.calls) == {"BatchGetItem"}
    assert store.dispatches.live._states([{"id": gone}]) == []  # the index still shows it
