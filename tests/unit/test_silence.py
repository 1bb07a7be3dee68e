"""A worker is lost when passes that ran, and heard others, did not hear it for a lease; never for anything else."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.heartbeats import Observation, ReconcilerState
from outpost.domain.workers import Worker, WorkerState
from reconciler.silence import COMMON_LEASE, IDLE_SILENCE, LEASE, NEVER_ASKED, PAUSE_LIMIT, PERIOD, Listening

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STEP = PERIOD.total_seconds()


def worker(id_: str, beat: int = 0, state: WorkerState = WorkerState.BUSY, token: int = 1) -> Worker:
    return Worker(
        worker_id=id_,
        task_arn=f"arn:{id_}",
        agent=Agent.SHELL,
        revision=1,
        worker_state=state,
        launched_at=T0,
        dispatch_id="d",
        fencing_token=token,
        beat=beat,
    )


@dataclass
class Passes:
    """Passes of the reconciler over one page of workers."""

    state: ReconcilerState = field(default_factory=ReconcilerState)
    observed: dict[str, Observation] = field(default_factory=dict)
    muted: bool = False

    def run(
        self, at: float, workers: Iterable[Worker], took: float = 0, responds: Callable[[], bool] = lambda: True
    ) -> list[str]:
        """Make a pass whose read takes some seconds; return who is lost."""
        page, began = list(workers), T0 + timedelta(seconds=at)
        listening = Listening(self.state, self.observed, began, responds)
        lost = listening.lost(page, began, began + timedelta(seconds=took))
        self.muted = listening.mute
        state, self.observed = listening.result(complete=True)
        self.state = state.model_copy(update={"ended_at": began + timedelta(seconds=took)})
        return [each.worker_id for each in lost]


def others(beat: int, number: int = 20) -> list[Worker]:
    """Healthy workers, as they are after so many beats."""
    return [worker(f"other{n}", beat) for n in range(number)]


@pytest.mark.parametrize(
    ("state", "limit"),
    [(WorkerState.BUSY, LEASE), (WorkerState.IDLE, IDLE_SILENCE), (WorkerState.STARTING, NEVER_ASKED)],
)
def test_a_worker_is_lost_in_the_pass_that_completes_its_limit(state: WorkerState, limit: timedelta) -> None:
    passes, needed = Passes(), int(limit / PERIOD)
    for number in range(needed):
        assert passes.run(number * STEP, [worker("w", state=state), *others(number)]) == []
    assert passes.run(needed * STEP, [worker("w", state=state), *others(needed)]) == ["w"]


@pytest.mark.parametrize("changed", [worker("w", beat=1), worker("w", token=2)])
def test_a_beat_or_a_new_token_starts_the_count_anew(changed: Worker) -> None:
    passes = Passes()
    for number in range(2):
        passes.run(number * STEP, [worker("w"), *others(number)])
    assert passes.run(2 * STEP, [changed, *others(2)]) == []
    assert passes.run(3 * STEP, [changed, *others(3)]) == []
    assert passes.run(4 * STEP, [changed, *others(4)]) == ["w"]


def test_a_slow_pass_does_not_shorten_the_lease() -> None:
    """The row was read at the end of the first pass: 20 s of silence are not 30 (the read took 14 s)."""
    passes = Passes()
    passes.run(0, [worker("w"), *others(0)], took=14)
    passes.run(15, [worker("w"), *others(1)])
    assert passes.run(30, [worker("w"), *others(2)]) == []


def test_time_in_which_no_pass_ran_does_not_count() -> None:
    passes = Passes()
    passes.run(0, [worker("w"), *others(0)])
    passes.run(STEP, [worker("w"), *others(1)])
    assert passes.run(7_200, [worker("w"), *others(2)]) == []
    assert passes.run(7_200 + STEP, [worker("w"), *others(3)]) == ["w"]


def test_a_clock_that_is_wrong_counts_a_period_at_most_and_nothing_backwards() -> None:
    passes = Passes()
    passes.run(0, [worker("w"), *others(0)])
    passes.run(-30, [worker("w"), *others(1)])
    assert passes.observed["w"].silent == 0
    passes.run(-1, [worker("w"), *others(2)])
    assert passes.observed["w"].silent == STEP


def test_when_nearly_all_of_several_are_silent_none_is_lost() -> None:
    passes = Passes()
    passes.run(0, others(0))
    for number in range(1, 500):
        assert passes.run(number * STEP, others(0)) == []
        assert passes.muted


def test_after_a_common_silence_only_new_silence_counts() -> None:
    passes = Passes()
    for number in range(9):
        passes.run(number * STEP, [worker("late"), *others(0)])
    for number in (9, 10):
        assert passes.run(number * STEP, [worker("late"), *others(number)]) == []
    assert passes.run(11 * STEP, [worker("late"), *others(11)]) == ["late"]


def test_a_common_silence_is_believed_after_its_limit() -> None:
    passes, limit = Passes(), int(PAUSE_LIMIT / PERIOD)
    lost: list[str] = []
    for number in range(limit + 10):
        lost = passes.run(number * STEP, others(0, 3))
        if lost:
            break
    assert len(lost) == 3
    assert limit <= number <= limit + 2 + COMMON_LEASE / PERIOD


def test_while_more_than_a_tenth_are_unheard_the_lease_is_longer() -> None:
    passes, few = Passes(), [worker(f"w{n}") for n in range(5)]
    needed = int(COMMON_LEASE / PERIOD)
    for number in range(needed):
        assert passes.run(number * STEP, [*few, *others(number)]) == []
    assert len(passes.run(needed * STEP, [*few, *others(needed)])) == 5


def test_two_workers_of_which_one_is_silent_are_no_common_silence() -> None:
    passes = Passes()
    for number in range(2):
        passes.run(number * STEP, [worker("w"), worker("v", number)])
    assert passes.run(2 * STEP, [worker("w"), worker("v", 2)]) == ["w"]


def test_while_the_broker_does_not_respond_the_only_worker_is_not_lost() -> None:
    passes = Passes()
    passes.run(0, [worker("w")])
    for number in range(1, 9):
        assert passes.run(number * STEP, [worker("w")], responds=lambda: False) == []
    assert passes.run(9 * STEP, [worker("w")]) == []
    assert passes.run(10 * STEP, [worker("w")]) == []
    assert passes.run(11 * STEP, [worker("w")]) == ["w"]


def test_the_broker_is_called_only_when_somebody_is_unheard_and_once_a_pass() -> None:
    calls: list[int] = []

    def responds() -> bool:
        calls.append(1)
        return True

    passes = Passes()
    for number in range(5):
        passes.run(number * STEP, others(number), responds=responds)
    assert not calls
    passes.run(5 * STEP, [worker("other0", 4), *others(5)[1:]], responds=responds)
    assert len(calls) == 1


def test_workers_that_are_gone_are_no_longer_observed() -> None:
    passes = Passes()
    passes.run(0, [worker("gone"), worker("w")])
    passes.run(STEP, [worker("w")])
    assert set(passes.observed) == {"w"}


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 20), st.booleans()),
        min_size=3,
        max_size=40,
    )
)
def test_a_worker_that_beats_each_ten_seconds_is_never_lost(steps: list[tuple[float, float, bool]]) -> None:
    """Whatever the gaps between passes, how long they read, and whether the broker was away."""
    passes, clock, beat = Passes(), 0.0, 0
    for gap, took, away in steps:
        clock += gap
        if not away:
            beat = int(clock // 10)
        fleet = [worker(f"w{n}", beat) for n in range(4)]
        assert passes.run(clock, fleet, took, responds=lambda away=away: not away) == []  # type: ignore[misc]
        clock += took


@given(st.integers(2, 30), st.integers(0, 14))
def test_a_worker_that_stops_beating_is_lost_within_its_bound(healthy: int, died_after: int) -> None:
    """45 s and a pass after its last beat, with passes each 15 s, while at most a tenth are unheard."""
    passes, last_beat = Passes(), float(died_after)
    for number in range(20):
        at = number * STEP
        beat = 1 if at > last_beat else 0
        if "w" in passes.run(at, [worker("w", beat), *others(number, healthy)]):
            assert at - last_beat <= 45
            return
    raise AssertionError("never lost")
