"""A burst of Lambda calls shares a few warm processes (gap 8).

MiniStack starts one process per concurrent call: twenty workers that call the broker at once would start twenty Python
processes on a laptop's two cores. Here a function has at most `WORKERS_PER_FUNCTION`; further callers wait for one, and
get Lambda's retryable TooManyRequestsException after `WAIT_SECONDS`. The bound is per function, so that a function that
calls another one can never hold what the other waits for. (The processes run the server's Python, the checkout's own.)
"""

import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

WORKERS_PER_FUNCTION = 4
WAIT_SECONDS = 20.0


def install() -> None:
    """Bound MiniStack's worker pool."""
    acquire, release = lambda_runtime.acquire_worker, lambda_runtime.release_worker
    freed = threading.Condition()

    def acquire_bounded(name: str, config: Any, code: bytes, qualifier: str = "$LATEST", **_options: Any) -> Any:
        deadline = time.monotonic() + WAIT_SECONDS
        with freed:
            while True:
                worker, how = acquire(name, config, code, qualifier, max_concurrency=WORKERS_PER_FUNCTION)
                remaining = deadline - time.monotonic()
                if worker is not None or remaining <= 0:
                    return worker, how
                freed.wait(remaining)

    def release_and_tell(worker: Any) -> None:
        release(worker)
        with freed:
            freed.notify()

    lambda_svc.acquire_worker = acquire_bounded
    lambda_svc.release_worker = release_and_tell
