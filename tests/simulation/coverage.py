"""Which calls were cut by which fault, while the dispatch that they are about was in which state."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.simulation.faults import WRITES, Cut

Met = Counter[tuple[str, str, str]]
"""Operation, cut ("whole": not cut), state of the dispatch ("none": about none, or not known yet)."""


def operations(met: Met) -> list[str]:
    """Return the operations that were called."""
    return sorted({operation for operation, _, _ in met})


def applicable(operation: str) -> Iterable[Cut]:
    """Return the cuts that a call of an operation can meet."""
    return [cut for cut in Cut if cut is not Cut.CONFLICT or operation.partition(".")[2] in WRITES]


def holes(met: Met, at_least: int = 1) -> list[str]:
    """Return the combinations of operation and cut that were met less often, by name.

    States: of an operation that was called in a state often enough (a thousand times), each cut is wanted there.
    """
    found = []
    for operation in operations(met):
        states = {state for name, cut, state in met if name == operation and met[name, "whole", state] >= 1_000}
        for cut in applicable(operation):
            if sum(met[operation, cut, state] for name, _, state in met if name == operation) < at_least:
                found.append(f"{operation} was never {cut}")
                continue
            found += [
                f"{operation} was never {cut} while {state}"
                for state in sorted(states)
                if met[operation, cut, state] < at_least
            ]
    return found


def describe(met: Met) -> str:
    """Return a table of calls and cuts, the states met, and the holes by name."""
    cuts = ["whole", *map(str, Cut)]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for (operation, cut, state), count in met.items():
        table[operation][cut] += count
        states[state][cut] += count
    lines = ["  ".join([f"{'operation':34}", *(f"{cut:>11}" for cut in cuts)])]
    for title, rows in (("", table), ("dispatch is", states)):
        lines += [title] if title else []
        lines += ["  ".join([f"{name:34}", *(f"{rows[name][cut]:11}" for cut in cuts)]) for name in sorted(rows)]
    missing = holes(met)
    lines += [f"holes: {len(missing)}", *(f"  {hole}" for hole in missing)]
    return "\n".join(lines)
