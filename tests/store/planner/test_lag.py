"""Indexes that lag change nothing of what the planner launches and workers claim."""

from typing import Any

import pytest

from outpost.store.database import Database
from tests.store.lagging import lagging_indexes

World = Any


@pytest.mark.parametrize("lag", [0.5, 2, 60])
def test_as_many_workers_start_as_there_are_dispatches_however_late_an_index_is(
    world: World, database: Database, lag: float
) -> None:
    with lagging_indexes(database, lag, lambda: world.clock.seconds):
        world.queue(3)
        for _ in range(8):  # the stream starts the planner at every change
            world.wake_planner()
            world.clock.sleep(lag / 4)
        world.pass_time(180)
    assert len(world.ecs.launched) == 3
    assert len(world.ran) == 3
