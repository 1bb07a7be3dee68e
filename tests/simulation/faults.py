"""What goes wrong in one schedule: each seed enables some kinds of faults, and draws when they strike.

Every strike has a name that says where it struck. Without the strikes named in `without` the rest stays as it was, as
each host draws from randomness of its own: so a failing schedule is made smaller.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.simulation.scheduler import Host


class Cut(StrEnum):
    """How a call is cut."""

    REFUSED = "refused"
    """Not reached: nothing is done, and nothing comes back."""
    THROTTLED = "throttled"
    LOST = "lost"
    """Done, and the response does not come back."""
    SLOW = "slow"
    DIED_BEFORE = "died before"
    DIED_AFTER = "died after"
    FROZEN = "frozen"
    """The caller stands still, for longer than a lease."""
    CONFLICT = "conflict"
    """Another request writes the same item: DynamoDB and S3 refuse this one."""


SHARES = {
    Cut.REFUSED: 0.02,
    Cut.THROTTLED: 0.02,
    Cut.LOST: 0.02,
    Cut.SLOW: 0.03,
    Cut.DIED_BEFORE: 0.004,
    Cut.DIED_AFTER: 0.006,
    Cut.FROZEN: 0.004,
    Cut.CONFLICT: 0.02,
}
"""Of the calls of a schedule in which the kind is enabled."""
OFTEN = {
    "run_task": 6.0,
    "invoke": 2.0,
    "put_object": 4.0,
    "transact_write_items": 2.0,
    "assume_role": 4.0,
    "stop_task": 7.0,
    "head_object": 7.0,
    "get_object": 6.0,
    "list_objects_v2": 4.0,
    "delete_item": 4.0,
    "delete_message": 4.0,
    "receive_message": 4.0,
    "batch_get_item": 2.0,
    "put_events": 4.0,
}
"""Rare calls, and those with lasting effects, are cut more often, by such a factor."""
LATER = frozenset({"stop_task", "get_object", "head_object"})
LATER_SECONDS = 180.0
"""Calls that follow other faults are cut so much longer."""
RECONCILER_PERIOD, PASS_SECONDS = 60.0, 20.0
"""Seconds between two invocations of the reconciler, and those in which a pass with a failed call is followed."""
HINDERS = {Cut.DIED_BEFORE: RECONCILER_PERIOD, Cut.DIED_AFTER: RECONCILER_PERIOD, Cut.FROZEN: 90.0}
"""For how many seconds a cut call of the reconciler keeps it from seeing what is wrong, where that is not one pass."""
SERVICES = ("dynamodb", "ecs", "events", "lambda", "s3", "sqs", "sts")
WRITES = frozenset({"put_item", "update_item", "delete_item", "transact_write_items", "put_object"})
CALM_LAG, CALM_STREAM_LAG = 0.02, 0.2
"""Seconds by which indexes and the stream are late where nothing is wrong."""
LONG_OUTAGES = (7_200.0, 21_600.0)


@dataclass(frozen=True)
class Outage:
    """A service that is away, for everybody."""

    service: str
    start: float
    seconds: float

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def __str__(self) -> str:
        return f"outage of {self.service} from {self.start:.0f} s for {self.seconds:.0f} s"


@dataclass
class Faults:
    """The faults of a seed."""

    seed: int
    without: frozenset[str] = frozenset()
    calm: bool = False
    """No faults at all: what then goes wrong is wrong by itself."""
    long_outages: bool = False
    struck: list[str] = field(default_factory=list)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a kind of fault struck while a dispatch that it is about was in a state."""
    states: Callable[[Host | None], Iterable[str]] = lambda _: ()
    """Returns the states of the dispatches that a fault of a host is about: of all, where that is not known."""
    latest: float = 0.0
    """When the latest fault struck, or will have ended."""

    hindered_until: float = RECONCILER_PERIOD
    """Until when a fault keeps the reconciler from seeing what is wrong; its first run begins within a minute."""

    def __post_init__(self) -> None:
        draw = random.Random(f"faults/{self.seed}")
        few = draw.random() < 0.3

        def enabled(share: float) -> bool:
            return draw.random() < (0.15 if few else share) and not self.calm

        self.until = draw.uniform(60, 180)
        self.shares: dict[Cut, float] = {cut: share for cut, share in SHARES.items() if enabled(0.5)}
        self.sticky = draw.uniform(0, 0.5)
        """Share of cuts that all tries of the client meet."""
        self.skew = 30.0 if enabled(0.4) else 0.0
        self.index_lag = draw.uniform(0.5, 60) if enabled(0.3) else CALM_LAG
        self.list_lag = draw.uniform(1, 60) if enabled(0.3) else 0.0
        self.tasks = {
            "never starts": 0.1 if enabled(0.3) else 0.0,
            "starts late": 0.2 if enabled(0.3) else 0.0,
            "fails to start": 0.1 if enabled(0.25) else 0.0,
            "crashes": 0.15 if enabled(0.4) else 0.0,
            "hangs": 0.08 if enabled(0.3) else 0.0,
            "stands still": 0.25 if enabled(0.3) else 0.0,
            "is interrupted": 0.15 if enabled(0.3) else 0.0,
            "is cut off": 0.1 if enabled(0.25) else 0.0,
        }
        self.no_capacity = 0.3 if enabled(0.2) else 0.0
        self.messages = {kind: 0.2 for kind in ("lost", "doubled", "late") if enabled(0.3)}
        self.events = {kind: 0.3 for kind in ("lost", "doubled", "late", "very late") if enabled(0.3)}
        self.doubled_invocations = 0.2 if enabled(0.3) else 0.0
        self.stream_lag = draw.uniform(1, 40) if enabled(0.2) else CALM_STREAM_LAG
        self.deploy_at = draw.uniform(5, 150) if enabled(0.25) else None
        self.outages = self._outages(draw, enabled(0.5))
        if self.long_outages:
            self.outages = [Outage(draw.choice(SERVICES), draw.uniform(5, 90), draw.choice(LONG_OUTAGES))]
        noted = [each for each in self.outages if self.note(str(each), each.start, each.seconds)]
        self.outages = noted
        self.until = max([self.until, *(each.end for each in self.outages)])
        for each in noted:
            self.hindered_until = max(self.hindered_until, each.end + RECONCILER_PERIOD)
        self._away = {name: [(each.start, each.end) for each in noted if each.service == name] for name in SERVICES}

    def _outages(self, draw: random.Random, some: bool) -> list[Outage]:
        if not some:
            return []
        return [
            Outage(draw.choice(SERVICES), draw.uniform(0, 120), draw.choice((5, 20, 45, 90, 180)))
            for _ in range(draw.choice((1, 1, 2)))
        ]

    def strikes(self, kind: str, share: float, host: Host, moment: float, what: str = "") -> bool:
        """Draw whether a fault strikes a host now, and write it down."""
        drawn = host.random.random()
        if drawn >= share or moment > self.until:
            return False
        if not self.note(f"{kind}: {host.name}{what}", moment):
            return False
        self.meet(kind, host)
        return True

    def note(self, name: str, moment: float, seconds: float = 0.0) -> bool:
        """Write a strike down; return False for one that is left out."""
        if name in self.without:
            return False
        self.struck.append(name)
        self.latest = max(self.latest, moment + seconds)
        return True

    def meet(self, kind: str, host: Host | None = None) -> None:
        """Count that a kind of fault takes effect now."""
        for state in self.states(host):
            self.met[kind, state] += 1

    @property
    def lasting(self) -> list[str]:
        """The kinds that last for the whole schedule."""
        kinds = {
            "clocks apart": self.skew > 0,
            "indexes lag": self.index_lag > CALM_LAG,
            "lists lag": self.list_lag > 0,
            "the stream lags": self.stream_lag > CALM_STREAM_LAG,
        }
        return [kind for kind, enabled in kinds.items() if enabled]

    def cut(self, host: Host, service: str, operation: str, moment: float) -> Cut | None:
        """Draw how a call is cut, None: not at all."""
        drawn = host.random.random() / OFTEN.get(operation, 1.0)
        if moment > self.until + LATER_SECONDS * (operation in LATER):
            return None
        for cut, share in self.shares.items():
            if drawn < share:
                fits = cut is not Cut.CONFLICT or operation in WRITES
                name = f"{cut}: {host.name} call {host.calls} {service}.{operation}"
                if not fits or not self.note(name, moment):
                    return None
                self.meet(cut, host)
                if host.name.startswith("reconciler"):
                    self.hindered_until = max(self.hindered_until, moment + HINDERS.get(cut, PASS_SECONDS))
                return cut
            drawn -= share
        return None

    def is_down(self, service: str, moment: float) -> bool:
        """Return whether a service is away."""
        return any(start <= moment < end for start, end in self._away[service])

    def outage_seconds(self, services: tuple[str, ...], until: float) -> float:
        """Return for how long one of the services has been away at a moment, or was until a minute before it."""
        begun = (e for e in self.outages if e.service in services and e.start <= until <= e.end + 60)
        return max((min(until, e.end) - e.start for e in begun), default=0.0)

    def away_seconds(self, services: tuple[str, ...], since: float, until: float) -> float:
        """Return for how long of a time one of the services was away; outages that overlap count each."""
        mine = (e for e in self.outages if e.service in services)
        return sum(max(0.0, min(until, e.end) - max(since, e.start)) for e in mine)


def task_fate(faults: Faults, host: Host, moment: float) -> str | None:
    """Draw what becomes of a task, None: nothing bad."""
    fates: Mapping[str, float] = faults.tasks
    drawn = host.random.random()
    for fate, share in fates.items():
        if drawn < share:
            if moment > faults.until:
                return None
            return fate if faults.note(f"task {fate}: {host.name}", moment) else None
        drawn -= share
    return None
