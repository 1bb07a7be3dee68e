"""The hour that CloudTrail and CloudWatch write on what they record can be moved.

`<data folder>/clock` holds the seconds by which they are ahead of this machine; without the file they are not. Tests
live through a day of monitoring in seconds; the services' own timers stay real.
"""

import time as real
from pathlib import Path
from types import SimpleNamespace

from outpost_local.extensions.patch import Patch
from outpost_local.settings import Settings


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Give both services the moved clock."""
    clock = clock_file(settings.data_dir)

    def ahead() -> float:
        try:
            return real.time() + float(clock.read_text() or 0)
        except FileNotFoundError:
            return real.time()

    moved = SimpleNamespace(**{**vars(real), "time": ahead})
    also = "services.cloudwatch.time"
    return (Patch("services.cloudtrail.time", lambda _: moved, "the services' clock cannot be moved", (also,)),)


def clock_file(data_dir: Path) -> Path:
    """Return where an instance's seconds are."""
    return data_dir / "clock"
