"""What schedules have met: calls by how they were cut, and faults by the state of the dispatch that they were about."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from outpost.domain.dispatch import Status
from tests.simulation.faults import SERVICES, WRITES, Cut

AWAY, WHOLE = "away", "whole"
"""How a call ended beside the cuts: its service could not be reached, or nothing was wrong."""
NO_DISPATCH, ENDED = "none", "ended"
"""States beside those of the contract: no dispatch is known yet; one state for all terminal ones."""
STATES = (*(str(status) for status in Status if not status.terminal), ENDED)
FAULTS = (
    *map(str, Cut),
    *(f"outage of {service}" for service in SERVICES),
    *(f"task {fate}" for fate in ("never starts", "starts late", "fails to start", "crashes", "hangs", "stands still")),
    *("task is interrupted", "task is cut off", "no capacity", "deploy"),
    *(f"message {kind}" for kind in ("lost", "doubled", "late")),
    *(f"event {kind}" for kind in ("lost", "doubled", "late", "very late")),
    *("doubled invocation", "clocks apart", "indexes lag", "lists lag", "the stream lags"),
)
"""Kinds of faults."""
CUTS = (*Cut, AWAY)
FOLLOWS = "it directly follows a call that meets the outage first"
SELDOM = "the call is made a few times in a hundred schedules, and is seldom cut in this rare way"
NAMED: dict[tuple[str, str], str] = {
    ("dynamodb.batch_get_item", AWAY): FOLLOWS,
    ("dynamodb.delete_item", AWAY): FOLLOWS,
    ("s3.get_object", AWAY): FOLLOWS,
    ("s3.head_object", AWAY): FOLLOWS,
    ("sqs.delete_message", AWAY): FOLLOWS,
    ("sts.assume_role", AWAY): FOLLOWS,
    ("ecs.stop_task", Cut.FROZEN): SELDOM,
    ("s3.head_object", Cut.DIED_BEFORE): SELDOM,
    ("s3.head_object", Cut.FROZEN): SELDOM,
    ("outage of dynamodb", str(Status.COMPLETING)): "the state lasts for seconds, and nothing is written meanwhile",
}
"""Pairs that thousands of schedules may miss, and why."""


@dataclass
class Coverage:
    """Counts, of one schedule or of many."""

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By operation, how it was cut, and the state of the dispatch."""
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and the state of the dispatch."""

    def add(self, other: "Coverage") -> None:
        """Add the counts of another."""
        self.calls.update(other.calls)
        self.faults.update(other.faults)

    @property
    def by_operation(self) -> dict[str, Counter[str]]:
        """Return how often each operation was cut in each way."""
        table: dict[str, Counter[str]] = defaultdict(Counter)
        for (operation, cut, _), count in self.calls.items():
            table[operation][cut] += count
        return table

    @property
    def by_fault(self) -> dict[str, Counter[str]]:
        """Return how often each kind of fault struck in each state."""
        table: dict[str, Counter[str]] = {kind: Counter() for kind in FAULTS}
        for (kind, state), count in self.faults.items():
            table[kind][state] += count
        return table

    def holes(self) -> Iterator[tuple[str, str]]:
        """Yield the operations and cuts, and the faults and states, that never met."""
        for operation, cuts in sorted(self.by_operation.items()):
            yield from ((operation, cut) for cut in applicable(operation) if not cuts[cut])
        for kind, states in self.by_fault.items():
            yield from ((kind, state) for state in STATES if not states[state])

    def describe(self) -> str:
        """Return both tables, and the holes by name."""
        lines = [*_table("operation", (WHOLE, *CUTS), self.by_operation), ""]
        lines += _table("fault", (*STATES, NO_DISPATCH), self.by_fault)
        missing = [f"  {what}: never {how}" for what, how in self.holes()]
        return "\n".join([*lines, "", f"holes: {len(missing)}", *missing])


def applicable(operation: str) -> Iterable[str]:
    """Return the cuts that a call of an operation can meet."""
    return [cut for cut in CUTS if cut is not Cut.CONFLICT or operation.partition(".")[2] in WRITES]


def _table(title: str, columns: Iterable[str], rows: dict[str, Counter[str]]) -> Iterator[str]:
    yield "  ".join([f"{title:34}", *(f"{column:>12}" for column in columns)])
    for name in sorted(rows):
        yield "  ".join([f"{name:34}", *(f"{rows[name][column]:12}" for column in columns)])
