"""Making a failing schedule small: faults and dispatches are left out as long as it fails in the same way."""

from collections.abc import Iterable, Sequence

from tests.simulation.scenario import make_scenario
from tests.simulation.simulate import Run, Simulator

MOST_RUNS = 300


def shrink(simulator: Simulator, failing: Run, *, long_outages: bool = False) -> tuple[Run, frozenset[str]]:
    """Return the smallest run found that violates the same invariant, with its story, and what it leaves out."""
    search = _Search(simulator, failing, long_outages=long_outages)
    labels = [order.label for order in make_scenario(failing.seed).orders]
    search.drop(labels)
    search.drop_faults()
    without = search.without
    small = simulator.run(failing.seed, without, long_outages=long_outages, story=True)
    return small, without


class _Search:
    def __init__(self, simulator: Simulator, failing: Run, *, long_outages: bool) -> None:
        self._simulator = simulator
        self._long_outages = long_outages
        self._best = failing
        self._runs = 0
        self.without: frozenset[str] = frozenset()

    def drop_faults(self) -> None:
        """Leave out what struck: in halves, quarters, ... and one by one, until nothing more can go."""
        size = max(1, len(self._best.struck) // 2)
        while self._runs < MOST_RUNS:
            struck = list(self._best.struck)
            chunks = [struck[start : start + size] for start in range(0, len(struck), size)]
            if sum(self._try(chunk) for chunk in chunks):
                continue
            if size == 1:
                return
            size //= 2

    def drop(self, names: Sequence[str]) -> None:
        """Leave out each of these that can go."""
        for name in names:
            self._try([name])

    def _try(self, names: Iterable[str]) -> bool:
        if self._runs >= MOST_RUNS:
            return False
        self._runs += 1
        without = self.without | frozenset(names)
        run = self._simulator.run(self._best.seed, without, long_outages=self._long_outages)
        wanted = self._best.violated
        if run.violated is None or wanted is None or run.violated.invariant != wanted.invariant:
            return False
        self.without, self._best = without, run
        return True


def tell(run: Run) -> str:
    """Return the story of a run as text."""
    lines = [f"seed {run.seed}: {run.violated or 'nothing is violated'}", "faults:"]
    lines += [f"  {name}" for name in run.struck]
    lines += [f"{at:10.3f} s  {who:28} {what}" for at, who, what in run.story]
    return "\n".join(lines)
