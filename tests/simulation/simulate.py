"""Running schedules: one seed, one story."""

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation.aws import Recorded
from tests.simulation.coverage import Coverage
from tests.simulation.faults import Faults
from tests.simulation.interpreter import Interpreter, interpreting
from tests.simulation.observed import Violated
from tests.simulation.scenario import make_scenario
from tests.simulation.workers import Stage, scripted
from tests.simulation.world import World


@dataclass(frozen=True)
class Run:
    """What came of a schedule."""

    seed: int
    violated: Violated | None
    struck: list[str]
    coverage: Coverage
    steps: int
    seconds: float
    """Of virtual time."""
    story: list[tuple[float, str, str]]


@dataclass
class Simulator:
    """Runs schedules, one after the other."""

    interpreter: Interpreter
    stage: Stage

    def run(
        self,
        seed: int,
        without: frozenset[str] = frozenset(),
        *,
        calm: bool = False,
        long_outages: bool = False,
        story: bool = False,
        recorded: list[Recorded] | None = None,
    ) -> Run:
        """Run the schedule of a seed, but for the faults and dispatches named in `without`."""
        faults = Faults(seed, without, calm=calm, long_outages=long_outages)
        world = World(self.interpreter, self.stage, make_scenario(seed, without), faults, recorded)
        if story:
            world.tell_story()
        violated = world.run()
        return Run(
            seed,
            violated,
            faults.struck,
            Coverage(world.boundary.met, faults.met),
            world.scheduler.steps,
            world.scheduler.now,
            world.story or [],
        )


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage seldom: schedules make much that is freed at once, beside libraries that stay."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


@contextmanager
def simulator() -> Iterator[Simulator]:
    """Drive our code while the block lasts."""
    nothing: Any = None
    with rare_collections(), tempfile.TemporaryDirectory() as folder, interpreting() as interpreter:
        stage = Stage(interpreter, Path(folder), nothing, nothing, nothing, nothing, {}, nothing, nothing)
        with scripted(stage):
            yield Simulator(interpreter, stage)
