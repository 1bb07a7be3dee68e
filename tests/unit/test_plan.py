"""The plan launches what is missing, within every limit, and nothing twice."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from capacity.plan import BATCH, STARTING_LIMIT, Fleet, batches, plan, ration, runnable
from outpost.domain.agents import Agent
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.launches import INTENT_LIFETIME, Intent, LaunchFailure
from outpost.store.workers import Worker, WorkerState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def worker(state: WorkerState, number: int = 0, revision: int = 1, launched_at: datetime = NOW) -> Worker:
    return Worker(
        worker_id=f"w{number}",
        task_arn=f"arn:w{number}",
        agent=Agent.SHELL,
        revision=revision,
        worker_state=state,
        launched_at=launched_at,
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


def test_an_intended_launch_is_supply_for_three_minutes() -> None:
    young = Intent(batch_id="b", agent=Agent.SHELL, count=4, launched_at=NOW - INTENT_LIFETIME + timedelta(seconds=1))
    old = young.model_copy(update={"launched_at": NOW - INTENT_LIFETIME})
    assert launches(5, fleet(intents=(young,))) == 1
    assert launches(5, fleet(intents=(old,))) == 5


def test_the_warm_target_is_kept_beside_the_demand() -> None:
    assert launches(2, fleet(WorkerState.IDLE, warm=3)) == 4


def test_the_agents_limit_counts_busy_workers_too() -> None:
    assert launches(10, fleet(WorkerState.BUSY, WorkerState.BUSY, limit=5)) == 3


def test_a_task_that_does_not_start_within_three_minutes_is_replaced() -> None:
    late = worker(WorkerState.STARTING, launched_at=NOW - STARTING_LIMIT)
    assert launches(1, Fleet([late], [], None, warm=0, limit=10)) == 1


def test_idle_workers_of_an_old_revision_are_refilled_before_they_leave() -> None:
    old, new = worker(WorkerState.IDLE, 1, revision=1), worker(WorkerState.IDLE, 2, revision=2)
    assert launches(0, Fleet([old], [], None, warm=1, limit=10, revision=2)) == 1
    assert launches(0, Fleet([old, new], [], None, warm=1, limit=10, revision=2)) == 0


def failed(seconds_ago: int, streak: int) -> LaunchFailure:
    why = Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, "no room")
    return LaunchFailure(reason=why, launched_at=NOW, failed_at=NOW - timedelta(seconds=seconds_ago), streak=streak)


def test_launches_pause_after_failures_ever_longer_but_never_for_more_than_five_minutes() -> None:
    assert launches(1, fleet(failure=failed(1, 1))) == 0
    assert launches(1, fleet(failure=failed(3, 1))) == 1
    assert launches(1, fleet(failure=failed(60, 6))) == 0
    assert launches(1, fleet(failure=failed(300, 1_000_000))) == 1


def test_after_a_pause_a_single_task_tries_whether_launching_works_again() -> None:
    assert launches(50, fleet(failure=failed(300, 3))) == 1


@given(
    st.integers(0, 1_000), st.lists(st.sampled_from(WorkerState), max_size=50), st.integers(0, 20), st.integers(1, 60)
)
def test_a_plan_is_never_more_than_is_missing_allowed_or_burstable(
    demand: int, states: list[WorkerState], warm: int, limit: int
) -> None:
    of = fleet(*states, warm=warm, limit=limit)
    count = launches(demand, of)
    assert count >= 0
    assert count + of.supply(NOW) <= max(demand + warm, of.supply(NOW))
    assert count + of.total(NOW) <= max(limit, of.total(NOW))


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
