"""Runs many schedules on all processors: `python -m tests.simulation --seeds 100000 --first 1`."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator

from tests.simulation.coverage import Coverage
from tests.simulation.shrink import shrink, tell
from tests.simulation.simulate import simulator
from tests.simulation.soak import CHUNK, run_seeds


def _chunks(first: int, count: int, long_outages: bool) -> Iterator[tuple[int, int, bool]]:
    for start in range(first, first + count, CHUNK):
        yield start, min(start + CHUNK, first + count), long_outages


def main() -> int:
    """Run, and print what failed with its story."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--long-outages", action="store_true", help="outages of 2 and 6 hours")
    parser.add_argument("--story", action="store_true", help="shrink the first seed, and print its story")
    arguments = parser.parse_args()
    if arguments.story:
        return _story(arguments.first, long_outages=arguments.long_outages)
    began, failed, met = time.monotonic(), [], Coverage()
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        chunks = _chunks(arguments.first, arguments.seeds, arguments.long_outages)
        for failures, counted in pool.imap_unordered(run_seeds, chunks):
            failed += failures
            met.add(counted)
            for seed, text in failures:
                print(f"seed {seed}: {text}", flush=True)
    print(met.describe())
    print(f"{arguments.seeds} schedules in {time.monotonic() - began:.0f} s, {len(failed)} violated an invariant")
    return 1 if failed else 0


def _story(seed: int, *, long_outages: bool) -> int:
    with simulator() as simulated:
        run = simulated.run(seed, long_outages=long_outages, story=True)
        if run.violated is not None:
            run, _ = shrink(simulated, run, long_outages=long_outages)
    print(tell(run))
    return 1 if run.violated else 0


if __name__ == "__main__":
    sys.exit(main())
