"""Ids sort by time, so that a time bounds a list."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from outpost.domain.ids import is_id, lowest_id, new_id, now

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=365 * 8_000)).map(lambda age: EPOCH + age)


@given(MOMENTS)
def test_the_lowest_id_of_a_time_is_an_id_of_its_millisecond(moment: datetime) -> None:
    lowest = lowest_id(moment)
    assert is_id(lowest)
    assert ULID.from_str(lowest).milliseconds == (moment - EPOCH) // timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_lowest_ids_sort_as_their_times_do(one: datetime, other: datetime) -> None:
    assert (lowest_id(one) <= lowest_id(other)) or one > other


def test_an_id_made_now_lies_between_the_seconds_around_it() -> None:
    before, made, after = now(), new_id(), now() + timedelta(milliseconds=1)
    assert lowest_id(before) <= made < lowest_id(after + timedelta(milliseconds=1))


def test_times_before_the_epoch_bound_nothing_out() -> None:
    assert lowest_id(datetime(1900, 1, 1, tzinfo=UTC)) == "0" * 26
