"""Schedules in bulk, for the processes of a pool."""

from tests.simulation.coverage import Coverage
from tests.simulation.simulate import simulator

CHUNK = 200


def run_seeds(bounds: tuple[int, int, bool]) -> tuple[list[tuple[int, str]], Coverage]:
    """Run the schedules of some seeds; return those that failed, and what met what."""
    failed, met = [], Coverage()
    with simulator() as simulated:
        for seed in range(bounds[0], bounds[1]):
            run = simulated.run(seed, long_outages=bounds[2])
            met.add(run.coverage)
            if run.violated is not None:
                failed.append((seed, str(run.violated)))
    return failed, met
