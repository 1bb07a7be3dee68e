"""The plan launches what is missing, within every limit, and nothing twice."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.launches import (
    FORGOTTEN_AFTER,
    LAUNCH_BURST,
    REPEATED_FOR,
    Intent,
    LaunchFailure,
    LaunchRate,
    count_failure,
)
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from planner.plan import BATCH, DRAIN_STEPS, STARTING_LIMIT, UNKNOWN_REVISION, Fleet, batches, plan, ration, runnable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDLE, STARTING, BUSY = WorkerState.IDLE, WorkerState.STARTING, WorkerState.BUSY


def worker(state: WorkerState, number: int = 0, revision: int = 1, launched_at: datetime = NOW) -> Worker:
    return Worker(
        worker_id=f"w{number}",
        task_arn=f"arn:w{number}",
        agent=Agent.SHELL,
        revision=revision,
        worker_state=state,
        launched_at=launched_at,
        proven=state is not WorkerState.STARTING,
    )


def fleet(
    *states: WorkerState,
    intents: tuple[Intent, ...] = (),
    failure: LaunchFailure | None = None,
    warm: int = 0,
    limit: int = 100,
) -> Fleet:
    return Fleet([worker(state, n) for n, state in enumerate(states)], intents, failure, warm, limit)


def counts(found: dict[Agent, list[str]]) -> dict[Agent, int]:
    return {agent: len(ids) for agent, ids in found.items()}


def launches(demand: int, of: Fleet) -> int:
    return plan({Agent.SHELL: demand}, {Agent.SHELL: of}, NOW).get(Agent.SHELL, 0)


def test_starting_and_idle_workers_are_supply_and_busy_ones_are_not() -> None:
    assert launches(5, fleet(WorkerState.STARTING, WorkerState.IDLE, WorkerState.BUSY)) == 3


def intent(count: int, launched_at: datetime = NOW) -> Intent:
    return Intent(batch_id="b", agent=Agent.SHELL, count=count, launched_at=launched_at, subnets=("zone-a",))


def test_a_launch_without_a_response_is_supply_until_its_outcome_is_known() -> None:
    open_intent = intent(4, NOW - FORGOTTEN_AFTER + timedelta(seconds=1))
    assert launches(5, fleet(intents=(open_intent,))) == 1
    assert launches(9, fleet(intents=(open_intent,), limit=6)) == 2


def test_a_launch_without_a_response_is_repeated_only_while_ecs_remembers_it_and_then_given_up() -> None:
    launched = intent(4)
    for minutes, repeatable, forgotten in ((0, True, False), (4, True, False), (5, False, False), (8, False, True)):
        at = NOW + timedelta(minutes=minutes)
        assert (launched.repeatable(at), launched.forgotten(at)) == (repeatable, forgotten)
    assert not launched.model_copy(update={"subnets": ()}).repeatable(NOW)  # of the release before


def test_the_warm_target_is_kept_beside_the_demand() -> None:
    assert launches(2, fleet(WorkerState.IDLE, warm=3)) == 4


def test_workers_that_the_broker_has_not_verified_take_nobodys_place() -> None:
    foreign = [worker(state, n).model_copy(update={"proven": False}) for n, state in enumerate([IDLE, BUSY] * 5)]
    assert launches(5, Fleet(foreign, [], None, warm=1, limit=6)) == 6
    assert launches(5, Fleet(foreign, [], failed(1, 9), warm=1, limit=6)) == 0  # nor do they disprove a failure


def test_a_worker_that_asks_and_cannot_be_verified_at_the_moment_is_not_launched_again() -> None:
    asking = worker(STARTING, launched_at=NOW - 2 * STARTING_LIMIT).model_copy(update={"beat": 3})
    assert launches(1, Fleet([asking], [], None, warm=0, limit=6)) == 0


def test_the_agents_limit_counts_busy_workers_too() -> None:
    assert launches(10, fleet(WorkerState.BUSY, WorkerState.BUSY, limit=5)) == 3


def test_a_task_that_does_not_start_within_three_minutes_is_replaced() -> None:
    late = worker(WorkerState.STARTING, launched_at=NOW - STARTING_LIMIT)
    assert launches(1, Fleet([late], [], None, warm=0, limit=10)) == 1


def test_idle_workers_of_an_old_revision_are_refilled_before_they_leave() -> None:
    old, new = worker(WorkerState.IDLE, 1, revision=1), worker(WorkerState.IDLE, 2, revision=2)
    assert launches(0, Fleet([old], [], None, warm=1, limit=10, revision=2)) == 1
    assert launches(0, Fleet([old, new], [], None, warm=1, limit=10, revision=2)) == 0


def test_a_worker_whose_revision_is_not_known_yet_counts_for_the_warm_target() -> None:
    named = worker(WorkerState.STARTING, revision=UNKNOWN_REVISION)
    assert launches(0, Fleet([named], [], None, warm=1, limit=10, revision=2)) == 0


def test_of_launches_without_a_response_no_more_is_repeated_than_is_wanted() -> None:
    open_ = [intent(2), intent(3), intent(1)]
    for demand, counts_ in ((6, [2, 3, 1]), (4, [2, 2]), (2, [2]), (0, [])):
        found = fleet(intents=tuple(open_)).repeatable(demand, NOW)
        assert [each.count for each in found] == counts_
    given_up = intent(1, NOW - REPEATED_FOR)
    assert [each.count for each in fleet(intents=(given_up, *open_)).repeatable(2, NOW)] == [1]


def test_idle_workers_of_an_old_revision_serve_the_demand_until_they_leave() -> None:
    old = [worker(WorkerState.IDLE, n, revision=1) for n in range(3)]
    of = Fleet(old, [], None, warm=2, limit=100, revision=2)
    assert [launches(demand, of) for demand in (0, 1, 3, 5)] == [2, 2, 2, 4]


def drained(
    states: list[tuple[WorkerState, int]], warm: int, limit: int, failure: LaunchFailure | None = None
) -> list[str]:
    alive = [worker(state, n, revision) for n, (state, revision) in enumerate(states)]
    return [w.worker_id for w in Fleet(alive, [], failure, warm, limit, 2).retirable(0, NOW)]


def test_where_the_limit_leaves_no_room_old_idle_workers_retire_in_steps_and_never_the_pool_at_once() -> None:
    assert drained([(IDLE, 1)] * 8, warm=8, limit=8) == ["w0", "w1"]
    assert drained([(IDLE, 1)], warm=1, limit=1) == ["w0"]
    assert drained([(IDLE, 1)] * 8, warm=8, limit=9) == []  # room: refilled first
    assert drained([(IDLE, 2)] * 8, warm=8, limit=8) == []
    assert drained([(BUSY, 1)] * 8, warm=8, limit=8) == []


def test_the_next_old_workers_retire_when_the_replacements_of_the_last_are_idle() -> None:
    assert drained([*[(IDLE, 1)] * 6, *[(STARTING, 2)] * 2], warm=8, limit=8) == []
    assert drained([*[(IDLE, 1)] * 6, *[(IDLE, 2)] * 2], warm=8, limit=8) == ["w0", "w1"]
    leaving = worker(IDLE, 9).model_copy(update={"retiring": True})
    assert Fleet([leaving, worker(IDLE)], [], None, 2, 2, 2).retirable(0, NOW) == []
    assert drained([*[(IDLE, 1)] * 6, *[(IDLE, 2)] * 2], warm=8, limit=8, failure=failed(1, 1)) == []


@given(st.lists(st.tuples(st.sampled_from(WorkerState), st.integers(1, 2)), max_size=40), st.integers(0, 20))
def test_a_step_takes_at_most_a_quarter_of_the_warm_pool_and_no_worker_at_work(
    states: list[tuple[WorkerState, int]], warm: int
) -> None:
    alive = [worker(state, n, revision) for n, (state, revision) in enumerate(states)]
    step = Fleet(alive, [], None, warm, max(len(alive), 1), 2).retirable(0, NOW)
    assert len(step) <= warm / DRAIN_STEPS + 1
    assert all(each.worker_state is IDLE and each.revision == 1 for each in step)


def failed(seconds_ago: int, streak: int) -> LaunchFailure:
    why = Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, "no room")
    moment = NOW - timedelta(seconds=seconds_ago)
    return LaunchFailure(reason=why, launched_at=moment, failed_at=moment, streak=streak)


def test_launches_pause_after_failures_ever_longer_but_never_for_more_than_five_minutes() -> None:
    assert launches(1, fleet(failure=failed(1, 1))) == 0
    assert launches(1, fleet(failure=failed(3, 1))) == 1
    assert launches(1, fleet(failure=failed(60, 6))) == 0
    assert launches(1, fleet(failure=failed(300, 1_000_000))) == 1


def test_after_a_pause_a_single_task_tries_whether_launching_works_again() -> None:
    assert launches(50, fleet(failure=failed(300, 3))) == 1


def test_while_a_trial_starts_there_is_no_other() -> None:
    trial = worker(STARTING, launched_at=NOW - timedelta(seconds=20))
    late = worker(STARTING, launched_at=NOW - STARTING_LIMIT)
    assert launches(50, Fleet([trial], [], failed(60, 3), warm=0, limit=100)) == 0
    assert launches(50, Fleet([], [intent(1)], failed(60, 3), warm=0, limit=100)) == 0
    assert launches(50, Fleet([late], [], failed(400, 3), warm=0, limit=100)) == 1
    earlier = worker(STARTING, launched_at=NOW - timedelta(seconds=70))
    assert launches(50, Fleet([earlier], [], failed(60, 3), warm=0, limit=100)) == 1


def test_a_worker_launched_after_a_failure_that_has_asked_for_work_disproves_it() -> None:
    for state, count in ((IDLE, 49), (BUSY, 50), (STARTING, 0)):
        assert launches(50, Fleet([worker(state)], [], failed(1, 9), warm=0, limit=100)) == count
        before = worker(state, launched_at=NOW - timedelta(seconds=2))
        assert launches(50, Fleet([before], [], failed(1, 9), warm=0, limit=100)) == 0


def death(launched: float, died: float) -> LaunchFailure:
    why = Reason.of(ReasonCode.IMAGE_PULL_FAILED, f"launched at {launched}")
    return LaunchFailure(
        reason=why, launched_at=NOW + timedelta(seconds=launched), failed_at=NOW + timedelta(seconds=died)
    )


def counted(*deaths: LaunchFailure) -> LaunchFailure:
    kept = None
    for each in deaths:
        kept = count_failure(kept, each)
    assert kept
    return kept


@given(st.lists(st.floats(0, 29), min_size=1, max_size=50), st.randoms())
def test_a_burst_that_fails_is_one_failure_in_whatever_order_its_tasks_die(burst: list[float], random: Random) -> None:
    deaths = [death(launched, launched + 30) for launched in burst]
    random.shuffle(deaths)
    kept = counted(*deaths)
    assert kept.streak == 1
    assert kept.launched_at == NOW + timedelta(seconds=max(burst))
    assert kept.failed_at in {each.failed_at for each in deaths}


def test_each_trial_that_fails_is_one_failure_more_and_its_reason_is_kept() -> None:
    kept = counted(death(0, 30), death(1, 31), death(32, 60), death(64, 90))
    assert (kept.streak, kept.failed_at) == (3, NOW + timedelta(seconds=90))
    assert kept.reason.message.endswith("64")


@given(st.floats(-30, 30), st.integers(1, 5))
def test_one_failure_that_is_reported_again_counts_once_whatever_the_clocks(skew: float, times: int) -> None:
    assert counted(*[death(0, skew)] * times).streak == 1


@given(st.floats(0, LAUNCH_BURST), st.floats(-40, 40), st.integers(0, LAUNCH_BURST))
def test_the_launch_rate_never_holds_more_than_a_burst_or_loses_what_it_has(
    tokens: float, seconds: float, taken: int
) -> None:
    later = LaunchRate(tokens=tokens, counted_at=NOW).at(NOW + timedelta(seconds=seconds))
    assert tokens <= later.tokens <= LAUNCH_BURST
    assert later.take(taken).tokens == later.tokens - taken


@given(
    st.integers(0, 1_000), st.lists(st.sampled_from(WorkerState), max_size=50), st.integers(0, 20), st.integers(1, 60)
)
def test_a_plan_is_never_more_than_is_missing_allowed_or_burstable(
    demand: int, states: list[WorkerState], warm: int, limit: int
) -> None:
    of = fleet(*states, warm=warm, limit=limit)
    count = launches(demand, of)
    assert count >= 0
    assert count <= max(of.missing(demand, NOW), 0) <= demand + warm
    assert count + of.total <= max(limit, of.total)


@given(st.dictionaries(st.sampled_from(Agent), st.integers(1, 300)), st.integers(0, 150))
def test_what_the_rate_allows_is_shared_out_whole_and_starves_nobody(wanted: dict[Agent, int], allowance: int) -> None:
    shares = ration(wanted, allowance)
    assert sum(shares.values()) == min(allowance, sum(wanted.values()))
    assert all(shares.get(agent, 0) <= count for agent, count in wanted.items())
    if allowance >= len(wanted):
        assert all(shares.get(agent, 0) > 0 for agent in wanted)


@given(st.integers(0, 250))
def test_batches_launch_exactly_the_count_ten_at_a_time(count: int) -> None:
    assert sum(batches(count)) == count
    assert all(0 < size <= BATCH for size in batches(count))


def test_a_tenants_free_slots_go_to_its_oldest_dispatches_whichever_agent_they_need() -> None:
    queued = {Agent.SHELL: {"a": ["1", "4"], "b": ["5"]}, Agent.CLAUDE: {"a": ["2", "3"]}}
    assert counts(runnable(queued, {"a": 3, "b": 1})) == {Agent.SHELL: 2, Agent.CLAUDE: 2}
    assert runnable(queued, {"a": 0, "b": 0}) == {}


def test_a_queue_behind_a_full_tenant_launches_no_idle_workers() -> None:
    queued = {Agent.SHELL: {"a": [str(n) for n in range(500)]}}
    assert counts(runnable(queued, {"a": 1})) == {Agent.SHELL: 1}
