"""What ends an agent that does not end by itself: too long, too quiet, too little disk left for everybody."""

import os
import time
from enum import Enum
from pathlib import Path

import structlog

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""An agent that leaves less than this is stopped: the harness still has to collect and upload what there is."""
DISK_RESERVE_FILES = 65_536
"""The same for inodes: git makes one for each of the 50,000 new files that a patch may have."""
HELD_BYTES = 64 * 1024 * 1024
_LOOK_SECONDS = 1.0

_log = structlog.get_logger()


class HeldRoom:
    """Room on the disk that an agent cannot take, however fast it writes: a file, deleted to collect its results."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self) -> None:
        """Hold `HELD_BYTES`, if the disk has them."""
        try:
            with self._file.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, HELD_BYTES)
        except OSError as error:
            _log.warning("no room on the disk is held for the results", error=str(error))

    def release(self) -> None:
        """Give the room back."""
        self._file.unlink(missing_ok=True)


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
        """Return whether the disk has less left than the reserve, in bytes or inodes (some file systems count none)."""
        disk = os.statvfs(self._directory)
        few = disk.f_files > 0 and disk.f_favail < DISK_RESERVE_FILES
        return few or disk.f_bavail * disk.f_frsize < self._disk_reserve
