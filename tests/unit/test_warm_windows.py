"""The warm target follows the hours of the week."""

from datetime import UTC, datetime, time

import pytest

from outpost.domain.agents import AgentSettings, WarmWindow

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
OFFICE = WarmWindow(days=("mon", "tue"), start=time(8), end=time(18), warm=5)
NIGHT = WarmWindow(days=("mon",), start=time(22), end=time(2), warm=2)


@pytest.mark.parametrize(
    ("day", "hour", "expected"),
    [(0, 7, 1), (0, 8, 5), (0, 17, 5), (0, 18, 1), (1, 12, 5), (2, 12, 1), (0, 23, 2), (1, 1, 2), (1, 2, 1), (0, 1, 1)],
)
def test_a_window_sets_the_target_of_its_hours(day: int, hour: int, expected: int) -> None:
    settings = AgentSettings(warm=1, warm_windows=(OFFICE, NIGHT), queue_url="q", family="f")
    assert settings.warm_at(MONDAY.replace(day=MONDAY.day + day, hour=hour)) == expected


def test_the_most_that_a_window_asks_for_wins() -> None:
    lunch = WarmWindow(start=time(12), end=time(13), warm=9)
    settings = AgentSettings(warm_windows=(OFFICE, lunch), queue_url="q", family="f")
    assert settings.warm_at(MONDAY.replace(hour=12)) == 9
