"""Schedules in bulk, for the processes of a pool."""

from collections import Counter

from tests.simulation.simulate import simulator

CHUNK = 200


def run_seeds(bounds: tuple[int, int, bool]) -> tuple[list[tuple[int, str]], Counter[tuple[str, str, str]]]:
    """Run the schedules of some seeds; return those that failed, and what met what."""
    failed, met = [], Counter[tuple[str, str, str]]()
    with simulator() as simulated:
        for seed in range(bounds[0], bounds[1]):
            run = simulated.run(seed, long_outages=bounds[2])
            met.update(run.met)
            if run.violated is not None:
                failed.append((seed, str(run.violated)))
    return failed, met
