"""When an idle worker leaves."""

from datetime import datetime, timedelta

from outpost.domain.workers import Worker, WorkerState

LINGER = timedelta(seconds=20)
"""An idle worker beyond the warm target stays this long: the next task of a burst then starts at once."""


def retires(worker: Worker, alive: list[Worker], warm: int, at: datetime) -> bool:
    """Return whether an idle worker that found nothing leaves: the newest `warm` stay, others linger a little."""
    idle = sorted(
        (w for w in alive if w.worker_state is WorkerState.IDLE and w.proven),
        key=lambda w: (w.launched_at, w.worker_id),
        reverse=True,
    )
    kept = {w.worker_id for w in idle[:warm]}
    idle_since = worker.idle_since or at
    return worker.worker_id not in kept and at - idle_since >= LINGER
