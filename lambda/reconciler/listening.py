"""Whether the passes of the reconciler hear the fleet, and what a page of workers has been observed to do."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from outpost.domain.heartbeats import Observation, ReconcilerState
from outpost.domain.workers import Worker
from reconciler.silence import PAUSE_LIMIT, PERIOD, Hearing, count_silence, is_lost, observe

_LONG = timedelta(days=1)


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
