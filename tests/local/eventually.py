"""Waiting for what another process does."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first truthy answer of `condition`; raises AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        pause.wait(0.05)
    raise AssertionError(f"not within {seconds} s: {condition}")
