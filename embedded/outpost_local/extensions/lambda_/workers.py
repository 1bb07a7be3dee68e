"""A burst of Lambda calls shares a few warm processes.

MiniStack starts one process per concurrent call: twenty workers that call the broker at once would start twenty Python
processes on a laptop's two cores. Here a function has at most `WORKERS_PER_FUNCTION`; further callers wait for one, and
get Lambda's retryable TooManyRequestsException after `WAIT_SECONDS`. The bound is per function, so that a function that
calls another one can never hold what the other waits for. (The processes run the server's Python, the checkout's own.)
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from outpost_local.extensions.patch import around

WORKERS_PER_FUNCTION = 4
WAIT_SECONDS = 20.0
_freed = threading.Condition()


def _acquire(
    acquire: Callable[..., Any], name: str, config: Any, code: bytes, qualifier: str = "$LATEST", **_options: Any
) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    with _freed:
        while True:
            worker, how = acquire(name, config, code, qualifier, max_concurrency=WORKERS_PER_FUNCTION)
            remaining = deadline - time.monotonic()
            if worker is not None or remaining <= 0:
                return worker, how
            _freed.wait(remaining)


def _release(release: Callable[[Any], None], worker: Any) -> None:
    release(worker)
    with _freed:
        _freed.notify_all()  # they wait for workers of different functions


_GAP = "Lambda processes are not bounded"

PATCHES = (
    around("services.lambda_svc.acquire_worker", _acquire, _GAP),
    around("services.lambda_svc.release_worker", _release, _GAP),
)
