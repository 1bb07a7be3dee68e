"""The planner keeps the account's quotas busy and never over them, and loses nothing in any outage."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from outpost.domain.dispatch import Status
from outpost.domain.launches import LAUNCH_BURST, LAUNCHES_PER_SECOND
from outpost.domain.lifecycle import Cancel, Finish, Report
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import Limits
from outpost.names import Metric

World = Any
HOUR = 3_600
DONE = Reason.of(ReasonCode.COMPLETED, "Done.")


@pytest.mark.parametrize(("number", "seconds"), [(160, 5), pytest.param(500, 22, marks=pytest.mark.full)])
def test_a_long_queue_is_launched_as_fast_as_the_quota_allows(world: World, number: int, seconds: float) -> None:
    world.queue(number)
    world.wake_planner()
    times = [at for at, _, _ in world.ecs.launched]
    assert len(times) == number
    assert times[-1] <= seconds
    sustained = (number - LAUNCH_BURST) / times[-1]
    assert sustained >= 0.95 * LAUNCHES_PER_SECOND
    assert world.ecs.calls["throttled"] <= world.ecs.calls["run_task"] / 100
    world.clock.sleep(60)
    assert world.running() == number
    assert set(world.ran.values()) == {1}


@pytest.mark.full
def test_a_six_hour_outage_of_capacity_loses_nothing_and_asks_seldom(world: World) -> None:
    ids = world.queue(20)
    world.ecs.full_zones = {"zone-a", "zone-b"}
    world.pass_time(6 * HOUR)
    assert world.ecs.launched == []
    # Two zones a trial, a trial each five minutes once it lasts: 12 trials an hour.
    assert world.ecs.calls["run_task"] < 6 * 12 * 2 + 40
    failure = world.planner.launches.failure("shell")
    assert failure.reason.code is ReasonCode.CAPACITY_UNAVAILABLE
    world.ecs.full_zones = set()
    world.pass_time(10 * 60)
    assert sorted(world.ran) == ids
    assert world.planner.launches.failure("shell") is None


def test_a_two_hour_outage_of_the_control_plane_loses_nothing(world: World) -> None:
    ids = world.queue(20)
    world.ecs.unreachable = True
    world.pass_time(2 * HOUR)
    assert world.ecs.launched == []
    world.ecs.unreachable = False
    world.pass_time(10 * 60)
    assert sorted(world.ran) == ids


@pytest.mark.full
def test_one_percent_that_never_start_are_replaced_until_every_dispatch_runs(world: World) -> None:
    world.ecs.never_starts = 0.01
    ids = world.queue(400)
    world.pass_time(10 * 60)
    assert sorted(world.ran) == ids
    assert 400 < len(world.ecs.launched) <= 420


@pytest.mark.parametrize(
    ("run_seconds", "ahead"), [(5, Status.PROVISIONING), (60, Status.COMPLETING)], ids=["quick", "long"]
)
def test_a_queue_of_one_at_a_time_has_each_next_worker_started_ahead_and_none_besides(
    world: World, one_at_a_time: list[str], run_seconds: float, ahead: Status
) -> None:
    launched = {}

    def look(dispatch_id: str, status: Status) -> None:
        for _ in range(2):
            world.wake_planner()
        launched[dispatch_id, status] = len(world.ecs.launched)

    for dispatch_id in one_at_a_time:
        row = world.store.dispatches.get(dispatch_id)
        assert row.status is Status.RUNNING
        look(dispatch_id, Status.PROVISIONING)
        world.clock.sleep(run_seconds)
        world.store.dispatches.change(dispatch_id, Finish(row.lease, 0, world.clock.now()))
        look(dispatch_id, Status.COMPLETING)
        world.store.dispatches.change(dispatch_id, Report(row.lease, Status.SUCCESS, DONE, world.clock.now()))
        look(dispatch_id, Status.SUCCESS)
        world.clock.sleep(31)
    assert len(world.ecs.launched) == len(one_at_a_time)
    assert set(world.ran.values()) == {1}
    assert world.idle == []
    # Nobody knows yet how long the first takes.
    for served, dispatch_id in enumerate(one_at_a_time[1:-1], 2):
        states = [status for (id_, status), count in launched.items() if id_ == dispatch_id and count > served]
        assert states[0] is ahead


def test_a_guess_that_was_wrong_has_one_worker_wait_and_not_one_after_the_other(
    world: World, one_at_a_time: list[str]
) -> None:
    first, second = (world.store.dispatches.get(id_) for id_ in one_at_a_time[:2])
    world.store.dispatches.change(first.id, Finish(first.lease, 0, world.clock.now()))
    world.pass_time(10 * 60)
    assert (len(world.ecs.launched), len(world.idle)) == (2, 1)
    world.store.dispatches.change(first.id, Report(first.lease, Status.SUCCESS, DONE, first.provisioning_at))
    world.pass_time(31)
    world.pass_time(10 * 60)
    assert world.store.dispatches.get(second.id).status is Status.RUNNING
    assert (len(world.ecs.launched), len(world.idle)) == (4, 2)


@pytest.fixture
def one_at_a_time(world: World) -> list[str]:
    """Queued dispatches of a tenant that may run one at a time; the first runs."""
    world.store.tenants.change("acme", overrides=Limits(concurrent=1, daily=1_000_000, timeout_seconds=86_400))
    ids: list[str] = world.queue(6)
    world.wake_planner()
    world.clock.sleep(31)
    return ids


def test_late_starters_find_nothing_and_leave(world: World) -> None:
    world.queue(3)
    world.wake_planner()
    for dispatch_id in world.store.dispatches.live.queued("shell", "acme", limit=3)[:2]:
        cancel(world, dispatch_id)
    world.clock.sleep(60)
    assert world.running() == 1
    assert len(world.idle) == 2
    assert len(world.store.workers.alive("shell")) == 1


def cancel(world: World, dispatch_id: str) -> None:
    world.store.dispatches.change(dispatch_id, Cancel(None, world.clock.now()))


def test_a_full_zone_is_stepped_around(world: World) -> None:
    world.ecs.full_zones = {"zone-a"}
    world.queue(30)
    world.wake_planner()
    assert {subnet for _, _, subnet in world.ecs.launched} == {"zone-b"}
    assert len(world.ecs.launched) == 30


def test_spot_falls_back_to_on_demand(world: World, with_settings: Callable[..., Any]) -> None:
    with_settings(spot_share=100)
    world.queue(5)
    world.wake_planner()
    assert {provider for _, provider, _ in world.ecs.launched} == {"FARGATE_SPOT"}
    world.ecs.spot_is_full = True
    world.queue(5)
    world.wake_planner()
    assert [provider for _, provider, _ in world.ecs.launched[5:]] == ["FARGATE"] * 5


def test_the_accounts_quota_of_vcpus_stops_nothing_for_good(world: World) -> None:
    ids = world.queue(20)
    world.ecs.vcpu_limit = 10
    world.pass_time(5 * 60)
    assert world.running() == 10
    world.ecs.vcpu_limit = 1_000
    world.pass_time(10 * 60)
    assert sorted(world.ran) == ids


def test_a_crash_loop_backs_off_instead_of_burning_money(world: World) -> None:
    world.crashes = True
    ids = world.queue(50)
    world.pass_time(2 * HOUR)
    assert len(world.ecs.launched) <= 50 + 2 * 12 + 12
    assert world.planner.launches.failure("shell").streak >= 10
    world.crashes = False
    world.pass_time(15 * 60)
    assert sorted(world.ran) == ids


@pytest.mark.full
def test_a_crash_loop_is_told_often_enough_for_its_alarm_to_go_on_ringing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.crashes = True
    world.queue(50)
    capsys.readouterr()
    world.pass_time(2 * HOUR)

    logs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if f'"{Metric.START_FAILURES}"' in line]
    deaths = [seconds + 30 for seconds, _, _ in world.ecs.launched]
    assert len(logs) == sum(each[Metric.START_FAILURES] == [1.0] for each in logs) == sum(d <= 2 * HOUR for d in deaths)
    # Three of twenty minutes (outpost_constructs/alarms.py), whichever twenty.
    for begin in range(100):
        assert len({int(death // 60) for death in deaths} & {*range(begin, begin + 20)}) >= 3, begin


def test_the_warm_target_is_launched_without_demand_and_refilled_for_a_new_revision(
    world: World, with_settings: Callable[..., Any]
) -> None:
    planner = with_settings(warm=3)
    world.leave = lambda worker: None
    world.pass_time(60)
    assert len(world.ecs.launched) == 3
    world.pass_time(120)
    assert len(world.ecs.launched) == 3
    world.ecs.revision = 2
    planner.revisions["shell"] = 2
    world.pass_time(60)
    assert len(world.ecs.launched) == 6


def test_two_planners_at_once_launch_once_and_the_second_makes_the_first_look_again(world: World) -> None:
    world.queue(3)
    first = world.planner.lock.acquire("first")
    world.planner.work("second", world.clock.now() + timedelta(seconds=10))
    assert world.ecs.launched == []
    assert not first.release()
    assert first.release()


def test_a_planner_that_died_blocks_the_next_for_seconds_only(world: World) -> None:
    world.queue(3)
    assert world.planner.lock.acquire("dead")
    world.clock.sleep(21)
    world.wake_planner()
    assert len(world.ecs.launched) == 3
