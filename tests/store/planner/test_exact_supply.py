"""As many tasks start as are needed, whatever is lost between the planner and ECS, also while another planner runs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop
from outpost.domain.ids import new_id
from outpost.domain.launches import FORGOTTEN_AFTER, REPEATED_FOR, Intent
from outpost.domain.lifecycle import Cancel
from outpost.domain.tenants import Limits
from outpost.domain.workers import Worker
from outpost.store.database import Database
from outpost.store.planner_lock import PlannerLock
from planner.demand import Demand, Walk
from planner.launcher import NoResponseError

World = Any


def open_intents(world: World) -> int:
    return sum(intent.count for intent in world.planner.launches.intents(Agent.SHELL))


def rows(world: World) -> int:
    return len(world.store.workers.alive(Agent.SHELL))


def test_a_lost_response_launches_nothing_twice_and_each_task_becomes_a_worker(world: World) -> None:
    ids = world.queue(12)
    world.ecs.loses_responses = 2
    world.wake_planner()
    assert len(world.ecs.launched) == rows(world) == 12
    assert open_intents(world) == 0
    world.clock.sleep(60)
    assert sorted(world.ran) == ids


def test_what_stays_without_a_response_is_supply_and_settled_when_ecs_responds_again(world: World) -> None:
    ids = world.queue(12)
    world.ecs.loses_responses = 1_000
    world.pass_time(150)
    assert len(world.ecs.launched) == 12 == open_intents(world)
    assert sorted(world.ran) == ids  # the workers asked for work, with no row written by the planner
    world.ecs.loses_responses = 0
    world.queue(5)
    world.pass_time(60)
    assert len(world.ecs.launched) == rows(world) == 17
    assert open_intents(world) == 0


def test_a_run_in_which_ecs_does_not_respond_fails_and_leaves_the_lock(world: World) -> None:
    world.queue(2)
    world.ecs.unreachable = True
    with pytest.raises(NoResponseError):
        world.planner.work("me", world.clock.now() + timedelta(seconds=45))
    assert world.planner.lock.acquire("another")


def test_a_launch_without_a_response_that_nobody_wants_any_more_is_not_repeated(world: World) -> None:
    ids = world.queue(3)
    world.ecs.unreachable = True
    world.wake_planner()
    world.ecs.unreachable = False
    for id_ in ids:
        world.store.dispatches.change(id_, Cancel(None, world.clock.now()))
    world.pass_time(10 * 60)
    assert world.ecs.launched == []
    assert open_intents(world) == 0


@pytest.mark.parametrize("launched", [False, True], ids=["nothing was launched", "the response was lost"])
def test_a_launch_of_which_less_is_wanted_by_now_is_repeated_for_as_much(world: World, launched: bool) -> None:
    """Where the first call was carried out, ECS names its tasks (RunTask: ConflictException, `resourceIds`)."""
    ids = world.queue(3)
    if launched:
        world.ecs.loses_responses = 100
    else:
        world.ecs.unreachable = True
    world.wake_planner()
    world.ecs.unreachable, world.ecs.loses_responses = False, 0
    for id_ in ids[:2]:
        world.store.dispatches.change(id_, Cancel(None, world.clock.now()))
    world.wake_planner()
    assert len(world.ecs.launched) == rows(world) == (3 if launched else 1)
    assert open_intents(world) == 0


@pytest.mark.parametrize("dies", ["before the call", "after the call", "while it writes workers"])
def test_a_planner_that_dies_anywhere_leaves_a_launch_that_the_next_one_finishes(
    world: World, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    world.queue(5)
    with monkeypatch.context() as patch:
        match dies:
            case "before the call":
                world.ecs.before_call = die
            case "after the call":
                patch.setattr(world.planner.workers, "add", die)
            case _:
                add = world.planner.workers.add

                def add_two(workers: Iterable[Worker]) -> None:
                    add([*workers][:2])
                    die()

                patch.setattr(world.planner.workers, "add", add_two)
        with pytest.raises(KeyboardInterrupt):
            world.planner.run(world.planner.lock.acquire("dead"), world.clock.now() + timedelta(seconds=45))
    world.ecs.before_call = lambda: None
    world.clock.sleep(21)
    world.wake_planner()
    assert len(world.ecs.launched) == rows(world) == 5
    assert open_intents(world) == 0


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_launch_whose_outcome_stays_unknown_is_given_up_after_the_workers_would_have_asked(world: World) -> None:
    world.queue(3)
    world.ecs.before_call = refuse
    world.planner.launches.intend(intent_of(world), world.planner.launches.rate(world.clock.now()), acquire(world))
    world.clock.sleep(REPEATED_FOR.total_seconds())
    world.wake_planner()
    assert open_intents(world) == 3
    world.ecs.before_call = lambda: None
    world.clock.sleep((FORGOTTEN_AFTER - REPEATED_FOR).total_seconds())
    world.wake_planner()
    assert open_intents(world) == 0
    assert len(world.ecs.launched) == 3


def refuse() -> None:
    error: Any = {"Error": {"Code": "InvalidParameterException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    raise ClientError(error, "RunTask")


def acquire(world: World) -> Any:  # noqa: ANN401 - a term
    return world.planner.lock.acquire("dead")


def intent_of(world: World) -> Intent:
    return Intent(
        batch_id=new_id(),
        agent=Agent.SHELL,
        count=3,
        launched_at=world.clock.now(),
        provider="FARGATE",
        subnets=("zone-a",),
    )


def test_a_new_revision_between_a_call_and_its_repetition_starts_nothing_more(world: World) -> None:
    """RunTask, ConflictException: `resourceIds` are the tasks that the client token stands for."""
    world.queue(3)
    world.ecs.loses_responses = 1
    world.planner.revisions[Agent.SHELL] = 1

    def conflict() -> None:
        if world.ecs.launched:
            error: Any = {"Error": {"Code": "ConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            arns = [task["taskArn"] for response in world.ecs._responses.values() for task in response["tasks"]]
            raise ClientError(error | {"resourceIds": arns}, "RunTask")

    world.ecs.before_call = conflict
    world.wake_planner()
    assert len(world.ecs.launched) == rows(world) == 3
    assert open_intents(world) == 0


def interrupt(monkeypatch: pytest.MonkeyPatch, demand: Demand, happens: Callable[[], object]) -> None:
    """Let something happen once, when a planner has read supply and demand, and launched nothing yet."""
    walk, pending = Demand.walk, [happens]

    def interrupted(self: Demand, *given: Any) -> Walk:  # noqa: ANN401 - of `walk`
        found = walk(self, *given)
        if self is demand and pending:
            pending.pop()()
        return found

    monkeypatch.setattr(Demand, "walk", interrupted)


@pytest.mark.parametrize("apart", [-30, 0, 30])
def test_a_planner_that_lost_the_lock_stops_before_it_calls_ecs(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch, apart: int
) -> None:
    world.queue(12)
    slow = world.planner
    other = replace(slow, lock=PlannerLock(database, lambda: world.clock.now() + timedelta(seconds=apart)))

    def pause() -> None:
        """The first planner has read supply and demand, and is then held up for half a minute."""
        if apart <= 0:
            world.clock.sleep(21 - apart)
        other.work("other", world.clock.now() + timedelta(seconds=45))

    interrupt(monkeypatch, slow.demand, pause)
    calls = world.ecs.calls
    slow.work("slow", world.clock.now() + timedelta(seconds=90))
    assert len(world.ecs.launched) == 12
    assert calls["run_task"] == 2  # the other's; none by the first
    assert other.lock.acquire("next")


def test_the_same_invocation_delivered_twice_at_once_launches_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda, asynchronous invocation: a function may get the same event, and request id, more than once."""
    world.queue(5)
    planner = world.planner
    until = world.clock.now() + timedelta(seconds=45)
    # The second is in the middle of its work, and holds the lock under the same name.
    interrupt(monkeypatch, planner.demand, lambda: planner.run(planner.lock.acquire("same"), until))
    planner.work("same", until)
    assert len(world.ecs.launched) == 5


def test_a_long_round_keeps_the_lock(world: World, database: Database) -> None:
    world.queue(50)
    begun = world.clock.seconds
    rival = PlannerLock(database, world.clock.now)
    terms: list[object] = []

    def slow() -> None:
        world.clock.sleep(6)
        terms.append(rival.acquire("rival"))

    world.ecs.before_call = slow
    world.planner.work("me", world.clock.now() + timedelta(seconds=45))
    assert world.clock.seconds - begun >= 30
    assert terms == [None] * len(terms)
    assert len(world.ecs.launched) == 50


def test_the_limit_holds_however_many_responses_are_lost(world: World, with_settings: Callable[..., Any]) -> None:
    with_settings(limit=7)
    world.queue(30)
    world.ecs.loses_responses = 3
    for _ in range(10):
        world.wake_planner()
        world.clock.sleep(2)
    assert len(world.ecs.launched) == 7


def test_seven_deaths_in_a_second_are_one_failure_and_the_next_trial_follows_at_once(world: World) -> None:
    world.crashes = True
    world.queue(7)
    world.wake_planner()
    world.clock.sleep(31)
    assert world.planner.launches.failure(Agent.SHELL).streak == 1
    world.crashes = False
    world.clock.sleep(2)
    world.wake_planner()
    assert len(world.ecs.launched) == 8
    world.clock.sleep(31)
    world.wake_planner()
    assert len(world.ecs.launched) == 14


def test_a_batch_that_is_refused_is_one_failure_however_many_follow(world: World) -> None:
    world.ecs.full_zones = {"zone-a", "zone-b"}
    world.queue(100)
    world.wake_planner()
    assert world.planner.launches.failure(Agent.SHELL).streak == 1
    assert world.ecs.calls["run_task"] == 2


def test_deaths_that_are_heard_of_after_an_outage_pause_nothing(world: World) -> None:
    world.queue(7)
    world.wake_planner()
    died = world.clock.now()
    world.ecs.on_start = lambda task: None
    world.clock.sleep(7_200)
    for worker in world.store.workers.alive(Agent.SHELL):
        stop = TaskStop("TaskFailedToStart", "CannotPullContainerError", None, stopped_at=died)
        world.termination.handle(Agent.SHELL, worker.worker_id, stop, world.clock.now())
    world.wake_planner()
    assert len(world.ecs.launched) == 14


def test_where_the_warm_target_is_the_limit_a_new_revision_replaces_the_old_one_in_steps(
    world: World, with_settings: Callable[..., Any]
) -> None:
    planner = with_settings(warm=8, limit=8)
    world.leave = lambda worker: None
    world.pass_time(60)
    world.ecs.revision = planner.revisions["shell"] = 2
    least = 8
    for _ in range(40):
        world.wake_planner()
        alive = world.store.workers.alive(Agent.SHELL)
        for worker in alive:
            if worker.retiring:  # it asks for work, finds none, and the broker lets it leave
                type(world).leave(world, worker)
        idle = [w for w in world.store.workers.alive(Agent.SHELL) if w.worker_state == "idle"]
        least = min(least, len(idle))
        world.clock.sleep(20)
    assert {worker.revision for worker in world.store.workers.alive(Agent.SHELL)} == {2}
    assert rows(world) == 8
    assert least == 6
    assert len(world.ecs.launched) == 16


def test_a_suspended_tenants_queue_launches_nothing(world: World) -> None:
    world.queue(3)
    world.store.tenants.change("acme", status="suspended")
    world.wake_planner()
    assert world.ecs.launched == []
    world.store.tenants.change("acme", status="active", overrides=Limits(concurrent=2, daily=10, timeout_seconds=600))
    world.wake_planner()
    assert len(world.ecs.launched) == 2
