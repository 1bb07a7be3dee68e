"""The captured output of a task run by the process engine."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_READ_BYTES = 65536


class OutputLog:
    """The output of one task: a file that readers can follow while it grows."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def copy_from(self, source: IO[bytes]) -> None:
        """Write everything `source` gives until its end; readers see the end also when writing fails."""
        try:
            with self._path.open("wb", buffering=0) as file:
                while chunk := os.read(source.fileno(), _READ_BYTES):
                    file.write(chunk)
                    with self._changed:
                        self._size += len(chunk)
                        self._changed.notify_all()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def read(self) -> bytes:
        """Return what was written so far."""
        return self._path.read_bytes() if self._size else b""

    def follow(self) -> Iterator[bytes]:
        """Yield everything in order, in pieces that need not end where lines end, until the task has ended."""
        position = 0
        while self._wait_beyond(position):
            with self._path.open("rb") as file:
                file.seek(position)
                while piece := file.read(_READ_BYTES):
                    position += len(piece)
                    yield piece

    def _wait_beyond(self, position: int) -> bool:
        with self._changed:
            while self._size <= position and not self._closed:
                self._changed.wait()
            return self._size > position
