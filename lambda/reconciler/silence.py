"""Which workers are silent: pure decisions from what passes of the reconciler observed, on the reconciler's own clock.

A worker's silence grows only by time between two passes that both ran and both heard the fleet. What no pass observed
(the reconciler did not run) and what concerns nearly everybody (the broker is away) says nothing about one worker.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from outpost.domain.heartbeats import Observation, ReconcilerState
from outpost.domain.workers import Worker, WorkerState

PERIOD = timedelta(seconds=15)
"""Between two passes. A longer gap counts as one period at most."""
LEASE = timedelta(seconds=30)
"""A busy worker is lost when its token and beat counter stood still this long: three heartbeats."""
COMMON_LEASE = timedelta(seconds=60)
"""The same, while more than a tenth of the fleet is unheard: something common may be slow, such as a throttle."""
IDLE_SILENCE = timedelta(seconds=90)
"""An idle worker asks for work each 20 s."""
NEVER_ASKED = timedelta(minutes=5)
"""The longest that a launched worker may take to ask for work for the first time."""
PAUSE_LIMIT = timedelta(hours=8)
"""The longest that a silence of nearly the whole fleet is not counted, in passes that ran; deadlines hold meanwhile."""

_EXPECTED = {WorkerState.BUSY: 12.0, WorkerState.IDLE: 30.0}
"""Seconds within which a healthy worker is heard: heartbeats each 10 s, claims each 20 s. The others do not beat."""
_READS = 2.0
"""Seconds that the reads of two passes may take, which no silence is counted for."""
_LONG = timedelta(days=1)
_FEW = 0.1
_NEARLY_ALL = 0.75


class Hearing(NamedTuple):
    """How many of the busy and idle workers were heard in their time."""

    heard: int = 0
    unheard: int = 0

    def add(self, workers: Iterable[Worker], observed: Mapping[str, Observation]) -> "Hearing":
        """Return the counts with those of more workers."""
        late = [
            observed[worker.worker_id].unheard >= _EXPECTED[worker.worker_state]
            for worker in workers
            if worker.worker_state in _EXPECTED
        ]
        return Hearing(self.heard + late.count(False), self.unheard + late.count(True))

    @property
    def common(self) -> bool:
        """Whether more are unheard than fail by themselves: several, and more than a tenth."""
        return self.unheard > max(1, _FEW * (self.heard + self.unheard))

    @property
    def mute(self) -> bool:
        """Whether nearly all of several workers are unheard."""
        return self.unheard > max(1, _NEARLY_ALL * (self.heard + self.unheard))


def observe(worker: Worker, earlier: Observation | None, began: float, ended: float, number: int) -> Observation:
    """Return what a read of the worker's row, from `began` to `ended`, in round `number` shows.

    It was unheard from the end of the earlier read to the beginning of this one: a slow pass adds nothing. Silence is
    as it was; `count_silence` adds to it.
    """
    token, beat = worker.fencing_token or 0, worker.beat
    if earlier is None or (earlier.token, earlier.beat) != (token, beat):
        return Observation(token, beat, number, ended, 0.0, 0.0)
    elapsed = min(max(began - earlier.seen_at, 0.0), PERIOD.total_seconds())
    return earlier._replace(number=number, seen_at=ended, unheard=earlier.unheard + elapsed)


def count_silence(observation: Observation, earlier: Observation | None) -> Observation:
    """Return the observation with the time in which the worker was unheard since the earlier one as silence."""
    if earlier is None or observation.unheard == 0.0:
        return observation
    return observation._replace(silent=earlier.silent + observation.unheard - earlier.unheard)


def is_lost(worker: Worker, observation: Observation, *, common: bool) -> bool:
    """Return whether a worker has been silent for too long; `common`: while others are unheard as well."""
    match worker.worker_state:
        case WorkerState.BUSY:
            limit = COMMON_LEASE if common else LEASE
        case WorkerState.IDLE:
            limit = IDLE_SILENCE
        case WorkerState.STARTING:
            limit = NEVER_ASKED
        case WorkerState.LOST:
            return False
    return observation.silent >= limit.total_seconds() - _READS


class Listening:
    """Observes the heartbeats of one pass; its state is the next pass's."""

    def __init__(
        self,
        state: ReconcilerState,
        observed: dict[str, Observation],
        began: datetime,
        broker_responds: Callable[[], bool],
    ) -> None:
        self._state = state
        self._earlier = observed
        self._observed = dict(observed)
        self._hearing = Hearing(state.heard, state.unheard)
        self._broker_responds = broker_responds
        since = (began - state.ended_at if state.ended_at else _LONG).total_seconds()
        self._resumed = since > 2 * PERIOD.total_seconds()
        self._elapsed = min(max(since, 0.0), PERIOD.total_seconds())

    def lost(self, page: Sequence[Worker], began: datetime, ended: datetime) -> list[Worker]:
        """Observe workers whose rows were read between two times; return those that are silent for too long."""
        for worker in page:
            id_, earlier = worker.worker_id, self._earlier.get(worker.worker_id)
            self._observed[id_] = observe(worker, earlier, began.timestamp(), ended.timestamp(), self._state.number)
        self._hearing = self._hearing.add(page, self._observed)
        if self.paused or self._resumed or not self._state.hearing:
            return []
        for id_ in (worker.worker_id for worker in page):
            self._observed[id_] = count_silence(self._observed[id_], self._earlier.get(id_))
        common = self._hearing.common
        return [worker for worker in page if is_lost(worker, self._observed[worker.worker_id], common=common)]

    def unheard(self, worker: Worker) -> float:
        """Return for how many seconds passes have not heard a worker; for ever when it has no reason to beat."""
        observation = self._observed.get(worker.worker_id)
        return observation.unheard if observation else math.inf

    @property
    def mute(self) -> bool:
        """Whether nearly all of several workers are unheard, or some while the broker does not respond."""
        return self._hearing.mute or (self._hearing.unheard > 0 and not self._responds)

    @cached_property
    def _responds(self) -> bool:
        return self._broker_responds()

    @property
    def paused(self) -> bool:
        """Whether silence is not counted for now."""
        return self.mute and self._state.mute_seconds < PAUSE_LIMIT.total_seconds()

    def result(self, *, complete: bool) -> tuple[ReconcilerState, dict[str, Observation]]:
        """Return the state and the observations for the next pass; `complete`: all workers were seen in this round."""
        heard, unheard = (0, 0) if complete else self._hearing
        state = self._state.model_copy(
            update={
                "hearing": not self.paused,
                "mute_seconds": self._state.mute_seconds + self._elapsed if self.mute else 0.0,
                "number": self._state.number + complete,
                "heard": heard,
                "unheard": unheard,
            },
        )
        number = self._state.number
        kept = {id_: seen for id_, seen in self._observed.items() if seen.number == number or not complete}
        return state, kept
