"""What ends an agent that does not end by itself: too long, too quiet, too little disk left for everybody."""

import shutil
import time
from enum import Enum
from pathlib import Path

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""An agent that leaves less than this is stopped: the harness still has to collect and upload what there is."""
_LOOK_SECONDS = 1.0


class Limit(Enum):
    """Which limit an agent went over."""

    TIME = "time"
    SILENCE = "silence"
    DISK = "disk"


class Watchdog:
    """Compares one run with its limits, in seconds and bytes; no silence limit: None."""

    def __init__(
        self, time_limit: float, silence_limit: float | None, directory: Path, disk_reserve: int = DISK_RESERVE_BYTES
    ) -> None:
        self._ends = time.monotonic() + time_limit
        self._silence_limit = silence_limit
        self._directory = directory
        self._disk_reserve = disk_reserve
        self._looked = time.monotonic()

    def exceeded(self, silent_since: float) -> Limit | None:
        """Return the limit that is exceeded now, or None. The agent has printed nothing since `silent_since`."""
        at = time.monotonic()
        if at >= self._ends:
            return Limit.TIME
        if self._silence_limit is not None and at - silent_since >= self._silence_limit:
            return Limit.SILENCE
        if at - self._looked >= _LOOK_SECONDS:
            self._looked = at
            if self.disk_is_full():
                return Limit.DISK
        return None

    def disk_is_full(self) -> bool:
        """Say whether the disk has less left than the reserve."""
        return shutil.disk_usage(self._directory).free < self._disk_reserve
