"""Time and chance, as parameters of the worker's side of the protocol: a simulation passes its own."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from outpost.domain.ids import now


@dataclass(frozen=True)
class Clock:
    """What reads the time, waits, and draws random numbers."""

    now: Callable[[], datetime] = now
    monotonic: Callable[[], float] = time.monotonic
    """Seconds since an arbitrary moment."""
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    """Returns a number from 0 up to, but not including, 1."""

    def backoff(self, first: float, longest: float) -> Iterator[float]:
        """Yield the seconds to wait before each next try: doubled each time up to `longest`, up to half of it less."""
        pause = first
        while True:
            yield pause * (1 - self.random() / 2)
            pause = min(pause * 2, longest)


SYSTEM_CLOCK = Clock()
