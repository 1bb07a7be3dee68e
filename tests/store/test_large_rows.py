"""What does not fit into a row is kept beside it, read with it, and written once; the release before is understood."""

from typing import Any

import pytest

from dispatch_changes.changes import Change
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import PROGRESS_BYTES, Cancel, Claim, Lose, Progress, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.fleet.store import Store as Parts
from outpost.names import Env
from outpost.store import keys, rows
from outpost.store.database import Database, Item, from_attributes
from outpost.store.dispatch_rows import DispatchRows
from outpost.store.rows import ROW_BYTES, is_complete, item_bytes, items_of, shortened
from outpost.store.schema import ACTIVE_SHARDS
from outpost.store.usage import UsageCounters
from tests.store.test_dispatches import TAGS
from usage_events import handler as usage_events

Store = Any
LARGE = {"tags": TAGS, "collect": tuple(f"{number}/".ljust(128, "c") for number in range(20)), "branch": "main"}


def read(database: Database, row: Dispatch) -> Item:
    """Return the row's item itself."""
    item = database.get(database.dispatches, *keys.row(row.id))
    assert item is not None
    return item


def details(database: Database, row: Dispatch) -> list[Item]:
    """Return the items beside the row."""
    values = {"pk": keys.row(row.id)[0], "details": keys.details(row.id).sk}
    return list(database.query(database.dispatches, "pk = :pk AND begins_with(sk, :details)", values))


def written_by_the_release_before(database: Database, row: Dispatch) -> None:
    """Write the row as it was written before rows were limited: whole, and without `details`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "ROW_BYTES", 10**6)
        (item,) = items_of(row)
    del item["details"]
    database.put(database.dispatches, from_attributes(item))


def test_a_large_dispatch_is_read_back_whole_after_every_change(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    found = store.dispatches.get(row.id)
    assert found.model_copy(update={"details": None}) == row
    claimed = store.dispatches.change(row.id, Claim("w", 0, now()))
    database.put(database.workers, {"pk": "TENANT#acme", "sk": "SLOT#000", "dispatch_id": row.id})
    store.dispatches.change(row.id, Start(claimed.lease, now()))
    store.dispatches.change(row.id, Progress(claimed.lease, "half"))
    found = store.dispatches.get(row.id)
    assert (found.spec, found.progress, found.attempt) == (row.spec, "half", 1)
    assert len(details(database, row)) == 1
    lost = Lose(claimed.lease, Reason.of(ReasonCode.WORKER_LOST, "m" * 5_000), now(), log_tail="t" * 8_000)
    ended = store.dispatches.change(row.id, lost)
    found = store.dispatches.get(row.id)
    assert (found.spec, found.reason, found.log_tail) == (row.spec, ended.reason, "t" * 8_000)
    assert item_bytes(database.client.get_item(TableName=database.dispatches, Key=_key(row))["Item"]) < ROW_BYTES
    assert read(database, row)["document"] == shortened(ended).model_dump_json(exclude_none=True)


def _key(row: Dispatch) -> Any:  # noqa: ANN401 - as the client takes it
    return {"pk": {"S": keys.row(row.id)[0]}, "sk": {"S": keys.row(row.id)[1]}}


def test_what_is_beside_a_row_is_written_once(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    found = store.dispatches.get(row.id)
    changed = found.model_copy(update={"progress": "half", "version": 2})
    assert len(store.dispatches.replacement(found, changed)) == 2  # the row, its place in the queue
    assert len(store.dispatches.replacement(row, changed.model_copy(update={"details": None}))) == 3


@pytest.mark.parametrize("character", ["a", "\x01", "\N{GRINNING FACE}"])
def test_a_line_of_progress_is_written_into_the_row_alone(store: Store, database: Database, character: str) -> None:
    """It changes each few seconds: each item beside the row would stay until the row expires."""
    row = store.dispatch(**LARGE)
    claimed = store.dispatches.change(row.id, Claim("w", 0, now()))
    for number in range(3):
        store.dispatches.change(row.id, Progress(claimed.lease, f"{number}".ljust(500, character)))
    assert store.dispatches.get(row.id).progress.startswith("2" + character * ((PROGRESS_BYTES - 1) // len(r"\u0001")))
    assert len(details(database, row)) == 1


def test_rows_of_the_release_before_are_read_listed_and_changed(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    for each in details(database, row):
        database.delete(database.dispatches, each["pk"], each["sk"])
    written_by_the_release_before(database, row)
    assert store.dispatches.get(row.id) == row
    store.await_indexes()
    assert store.dispatches.page("acme", limit=1).rows == [row]
    store.dispatches.change(row.id, Claim("w", 0, now()))
    assert store.dispatches.get(row.id).spec == row.spec
    assert len(details(database, row)) == 1


def test_a_large_row_that_the_release_before_has_rewritten_keeps_its_spec(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    asked = Cancel("no need", now())
    claimed = store.dispatches.change(row.id, Claim("w", 0, now()))
    short = shortened(claimed).model_copy(
        update={"cancel_requested_at": asked.at, "cancel_reason": asked.reason, "version": claimed.version + 1}
    )
    written_by_the_release_before(database, short)
    found = store.dispatches.get(row.id)
    assert (found.spec, found.cancel_reason, found.version) == (row.spec, "no need", 3)
    store.dispatches.change(row.id, Start(claimed.lease, now()))
    assert store.dispatches.get(row.id).spec == row.spec


def test_the_release_before_reads_a_large_row_without_its_longer_texts(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    found = Dispatch.model_validate_json(read(database, row)["document"])
    assert (found.id, found.spec.agent, found.spec.timeout_seconds) == (row.id, row.spec.agent, 600)
    assert found.spec.tags == {}


def test_lists_find_large_rows_by_their_tags_among_small_ones(store: Store) -> None:
    tag = next(iter(TAGS.items()))
    made = [store.dispatch(**(LARGE if number % 2 else {"tags": dict([tag])})) for number in range(4)]
    store.dispatch(tags={"another": "tag"})
    store.await_indexes()

    def matches(row: Dispatch) -> bool:
        return tag in row.spec.tags.items()

    page = store.dispatches.page("acme", limit=3, matches=matches, reads_details=True)
    rest = store.dispatches.page("acme", limit=3, before=page.last_id, matches=matches, reads_details=True)
    listed = [row.model_copy(update={"details": None}) for row in page.rows + rest.rows]
    assert listed == made[::-1]


def test_a_list_by_status_reads_what_is_beside_the_rows_that_it_returns_alone(store: Store) -> None:
    made = [store.dispatch(**LARGE) for _ in range(2)]
    store.dispatches.change(made[1].id, Cancel("no need", now()))
    store.await_indexes()
    with store.reads() as reads:
        assert store.dispatches.page("acme", limit=3, matches=lambda row: row.status is Status.RUNNING).rows == []
    assert reads.calls == {"Query": 1}
    with store.reads() as reads:
        page = store.dispatches.page("acme", limit=3, matches=lambda row: row.status.terminal)
    assert [(row.id, row.spec.tags) for row in page.rows] == [(made[1].id, TAGS)]
    assert reads.calls == {"Query": 1, "BatchGetItem": 1}


def test_a_live_row_is_never_read_without_what_is_beside_it(store: Store, database: Database) -> None:
    row = store.dispatch(**LARGE)
    (beside,) = details(database, row)
    database.delete(database.dispatches, beside["pk"], beside["sk"])
    with pytest.raises(LookupError, match="restore the table"):
        store.dispatches.get(row.id)


def test_a_states_page_needs_nothing_beside_the_rows(store: Store) -> None:
    row = store.dispatch(**LARGE)
    store.await_indexes()
    with store.reads() as reads:
        shown = [state for shard in range(ACTIVE_SHARDS) for state in store.dispatches.live.page(shard, " ", 10)]
    assert [state.id for state in shown] == [row.id]
    assert set(reads.calls) == {"Query"}


def test_tags_beside_a_row_are_counted_and_go_into_its_event(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(Env.ENVIRONMENT, "test")
    row = store.dispatch(**LARGE)
    store.dispatches.change(row.id, Cancel(None, now()))
    assert UsageCounters(database).count(row.id)
    item = read(database, row)
    assert not is_complete(item)
    image = database.client.get_item(TableName=database.dispatches, Key=_key(row))["Item"]
    change = {"NewImage": image, "ApproximateCreationDateTime": 1_763_000_000.0, "SequenceNumber": "1"}
    (seen,) = Change.of({"eventID": "1", "dynamodb": change})
    assert seen.ended is not None
    assert seen.ended["tags"] is None
    monkeypatch.setattr(usage_events, "_store", lambda: Parts(database))
    event = usage_events._ended(seen.ended)
    assert event is not None
    assert event.tags == TAGS
    assert DispatchRows(database).get(row.id).spec.tags == TAGS  # type: ignore[union-attr]
