"""One thread, many processes, a virtual clock: greenlets that run until they wait, in an order that the seed decides.

A host is what dies or stands still as a whole: an invocation of a function, a task, a client. Each has a clock, which
may be wrong by some seconds, and randomness of its own, so that what happens to one host shifts no draw of another.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from hashlib import blake2b
from random import Random

from greenlet import getcurrent, greenlet

Action = Callable[[], object]
"""Something that is done at a time and does not wait."""
EPOCH = datetime(2026, 11, 28, 12, tzinfo=UTC)
"""What every virtual clock begins with."""


MOST_STEPS = 300_000
"""Of one schedule: far more than any takes that ends."""


DONE_STEPS = 16
"""After so many steps a run looks whether all is done."""


class Killed(BaseException):
    """The host is dead: nothing of it runs any more. No `except Exception` stops it."""


class LivelockError(Exception):
    """Processes run without end."""


class DeadlockError(Exception):
    """A process waits for what only itself could do."""


@dataclass(eq=False)
class Host:
    """Something that runs on its own."""

    name: str
    seed: int
    skew: float = 0.0
    """Seconds by which its wall clock is wrong."""
    dead: bool = False
    frozen_until: float = 0.0
    cut_off: tuple[float, float] = (0.0, 0.0)
    """From when until when its network is gone."""
    calls: int = 0
    about: str | None = None
    """The dispatch that it works on, where it is known."""
    function: str = ""
    """Which function runs here, if one does."""
    on_death: list[Callable[[], None]] = field(default_factory=list)
    signals: list[Callable[[], None]] = field(default_factory=list)
    """What the main process of the host handles as soon as it can."""
    main: "Process | None" = None

    @cached_property
    def random(self) -> Random:
        """What the host draws, and no other."""
        digest = blake2b(f"{self.seed}/{self.name}".encode(), digest_size=8).digest()
        return Random(int.from_bytes(digest, "big"))


class Process(greenlet):
    """A greenlet of a host."""

    host: Host
    turn: int
    """Counts the waits: a wake-up for an earlier one is stale."""


class Event:
    """As `threading.Event`, for processes."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: list[tuple[Process, int]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for process, turn in self._waiting:
            self._scheduler.wake(process, turn)
        self._waiting.clear()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            process = self._scheduler.process()
            self._waiting.append((process, process.turn))
            self._scheduler.wait(timeout)
        return self._set


class Lock:
    """As `threading.Lock` and `RLock`, for processes."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self._holder: Process | None = None
        self._depth = 0
        self._free = Event(scheduler)

    def __enter__(self) -> "Lock":
        current = self._scheduler.process()
        while self._holder is not None and self._holder is not current and not self._holder.dead:
            self._free.clear()
            self._free.wait()
        self._holder, self._depth = current, self._depth + 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._holder = None
            self._free.set()


class Scheduler:
    """Runs processes in the order of their virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Process | Action, int]] = []
        self._count = 0
        self._until = 0.0
        self._main = getcurrent()
        self._processes: set[Process] = set()
        self.steps = 0
        self.stopped = False

    def process(self) -> Process:
        """Return the process that runs."""
        current = getcurrent()
        if not isinstance(current, Process):
            raise DeadlockError("no process runs: the simulation itself must not wait")
        return current

    def host(self) -> Host | None:
        """Return the host whose process runs, None outside of all."""
        current = getcurrent()
        return current.host if isinstance(current, Process) else None

    def start(self, host: Host, run: Callable[[], object], delay: float = 0.0) -> Process:
        """Start a process on a host."""

        def guarded() -> None:
            try:
                run()
            except Killed:
                return
            finally:
                self._processes.discard(process)

        process = Process(guarded, self._main)
        process.host, process.turn = host, 0
        host.main = host.main or process
        self._processes.add(process)
        self._push(self.now + delay, process)
        return process

    def wait(self, seconds: float | None) -> None:
        """Let others run; None waits until something wakes this process. Raises `Killed` on a dead host."""
        process = self.process()
        end = None if seconds is None else self.now + max(seconds, 0.0)
        while True:
            process.turn += 1
            if process.host.dead:
                raise Killed
            if end is not None:
                if self._is_next(end, process.host):
                    self.now, self.steps = end, self.steps + 1
                    return
                self._push(end, process)
            self._main.switch()
            if process.host.dead:
                raise Killed
            if not process.host.signals or process is not process.host.main:
                return
            process.host.signals.pop(0)()

    def _is_next(self, end: float, host: Host) -> bool:
        """Return whether nothing else is due before the end of a wait: then nobody need be switched to.

        Now and then it says no, for `run` to see whether all is done.
        """
        if (self._due and self._due[0][0] <= end) or end > self._until or self.stopped or not self.steps % DONE_STEPS:
            return False
        return host.frozen_until <= end and not host.signals

    def after(self, seconds: float, action: Action) -> None:
        """Do something later that does not wait and that no host does."""
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, action, 0))

    def signal(self, host: Host, handler: Callable[[], None]) -> None:
        """Interrupt the host's main process, which handles the signal and waits on."""
        host.signals.append(handler)
        if host.main is not None and not host.main.dead:
            self._push(self.now, host.main)

    def wake(self, process: Process, turn: int) -> None:
        """Wake a process from the wait that followed `turn`."""
        if process.turn == turn + 1 and not process.dead:
            self._push(self.now, process)

    def freeze(self, host: Host, seconds: float) -> None:
        """Let nothing of a host run for some time: a machine that stands still."""
        host.frozen_until = max(host.frozen_until, self.now + seconds)

    def kill(self, host: Host) -> None:
        """End a host at once."""
        if host.dead:
            return
        host.dead = True
        for action in host.on_death:
            action()

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Run until a time, or until `done`, which is asked now and then."""
        self._until = until
        while self._due and not self.stopped and (self.steps % DONE_STEPS or not done()):
            moment, _, what, turn = self._due[0]
            if moment > until:
                break
            heapq.heappop(self._due)
            if not isinstance(what, Process):
                self._step(moment)
                what()
            elif what.dead or what.turn != turn:
                continue
            elif what.host.frozen_until > moment and not what.host.dead:
                self._push(what.host.frozen_until, what)
            else:
                self._step(moment)
                what.switch()
        else:
            return
        self.now = until

    def _step(self, moment: float) -> None:
        self.now = moment
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise LivelockError(f"after {self.steps} steps something still runs at {moment:.3f} s")

    def close(self) -> None:
        """End all that still waits."""
        self._due.clear()
        for process in list(self._processes):
            process.host.dead = True
            if process:
                process.throw(Killed)
        self._processes.clear()

    def _push(self, moment: float, process: Process) -> None:
        self._count += 1
        heapq.heappush(self._due, (moment, self._count, process, process.turn))

    def wall(self) -> datetime:
        """Return the wall clock of the host that runs, to the millisecond."""
        host = self.host()
        return _moment(int((self.now + (host.skew if host else 0.0)) * 1000))


@lru_cache(64)
def _moment(milliseconds: int) -> datetime:
    """Return a time of the virtual clock: the same is read many times over, as nothing else takes time."""
    return EPOCH + timedelta(milliseconds=milliseconds)
