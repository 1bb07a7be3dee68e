"""shadow: the same sample tasks on v1 and on v2; outcome, exit code and duration are compared."""

import shlex
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer
from pydantic import Field, TypeAdapter, ValidationError

from outpost.report import Check
from outpost_client.models import Dispatch, DispatchRequest
from outpost_client.results import Status
from outpost_migration.context import Context
from outpost_migration.monitor.documents import Part
from outpost_migration.step import Report, Step
from outpost_migration.v1.layout import SCRIPTS_FOLDER
from outpost_ops.errors import OperationError

FEWEST = 10
"""Sample tasks that a comparison needs."""
AT_ONCE = 4
"""Samples that run at the same time."""
SAMPLES = Path(__file__).with_name("samples.json")


class Sample(Part):
    """A task to run on both systems."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    task: Annotated[str, Field(min_length=10)]


class Outcome(Part):
    """How a sample task ended."""

    outcome: Literal["success", "failed"]
    exit_code: int | None
    seconds: float


class Pair(Part):
    """One sample task on both systems."""

    name: str
    v1: Outcome
    v2: Outcome

    @property
    def agrees(self) -> bool:
        """Whether both ended the same way, with the same exit code."""
        return (self.v1.outcome, self.v1.exit_code) == (self.v2.outcome, self.v2.exit_code)


class ParityReport(Report):
    """shadow: the same tasks on both systems."""

    file: ClassVar[str] = "parity-report"
    step: Literal["shadow"] = "shadow"
    pairs: list[Pair]
    agreeing: int
    latency_ratio: float | None = Field(description="median of v2's duration through v1's")


class StoredPair(Part):
    """A compared task, kept so that a resumed step continues with the next."""

    sample: Sample
    pair: Pair


def _load_samples(path: Path) -> list[Sample]:
    try:
        return TypeAdapter(list[Sample]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise OperationError(f"{path} holds no sample tasks, a JSON list of {{name, task}}: {error}") from error


def run(
    context: Context,
    *,
    repository: Annotated[str, typer.Option("--repo", help="Repository that the sample tasks run on")],
    samples: Annotated[Path, typer.Option(help="JSON list of {name, task}")] = SAMPLES,
    executor: Annotated[str, typer.Option(help="v1's executor")] = "claude",
    agent: Annotated[str, typer.Option(help="v2's agent")] = "claude",
) -> ParityReport:
    """Run the same sample tasks on v1 and v2 and compare.

    A few run at once; the pairs of an earlier attempt are kept.
    """
    tasks = _load_samples(samples)
    stored = [context.documents.value(StoredPair, _key(context, sample)) for sample in tasks]
    done = {kept.sample.name: kept.pair for kept in stored if kept and kept.sample in tasks}
    missing = [sample for sample in tasks if sample.name not in done]
    if context.dry_run:
        for sample in missing:
            context.change(f"Run sample {sample.name} on v1 ({executor}) and v2 ({agent})")
        missing = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        compared = pool.map(lambda sample: _compare(context, sample, repository, executor, agent), missing)
        done |= {pair.name: pair for pair in compared}
    pairs = [done[sample.name] for sample in tasks if sample.name in done]
    return context.report(
        ParityReport,
        _checks(pairs),
        pairs=pairs,
        agreeing=sum(pair.agrees for pair in pairs),
        latency_ratio=_ratio(pairs),
    )


STEP = Step(ParityReport, run, needs=("archive",), takes="minutes", changes="runs sample tasks on both systems")


def _key(context: Context, sample: Sample) -> str:
    return f"{context.folder}shadow/{sample.name}.json"


def _compare(context: Context, sample: Sample, repository: str, executor: str, agent: str) -> Pair:
    context.progress(f"Sample {sample.name}")
    v1 = _on_v1(context, sample, repository, executor)
    pair = Pair(name=sample.name, v1=v1, v2=_on_v2(context, sample, repository, agent))
    context.documents.replace(_key(context, sample), StoredPair(sample=sample, pair=pair))
    return pair


def _checks(pairs: Sequence[Pair]) -> list[Check]:
    differing = [pair for pair in pairs if not pair.agrees]
    failing = sum(pair.v1.outcome == "failed" for pair in pairs)
    return [
        Check.of(
            "samples",
            f"At least {FEWEST} tasks were compared, failing ones among them",
            True if len(pairs) >= FEWEST and failing else None,
            [f"{len(pairs)} pairs, {failing} of them failing on v1"],
            "Add sample tasks with --samples",
        ),
        Check.of(
            "parity",
            "Both systems agree on outcome and exit code",
            None if not pairs else not differing,
            [
                f"{len(pairs) - len(differing)} of {len(pairs)} pairs agree",
                *(
                    f"{p.name}: v1 {p.v1.outcome} {p.v1.exit_code}, v2 {p.v2.outcome} {p.v2.exit_code}"
                    for p in differing
                ),
            ],
            "Look at the differing tasks' logs on both systems",
        ),
    ]


def _ratio(pairs: Sequence[Pair]) -> float | None:
    ratios = [pair.v2.seconds / pair.v1.seconds for pair in pairs if pair.v1.seconds > 0]
    return statistics.median(ratios) if ratios else None


def _on_v1(context: Context, sample: Sample, repository: str, executor: str) -> Outcome:
    command = f"{SCRIPTS_FOLDER}/dispatch-unified.sh {shlex.quote(repository)} {shlex.quote(sample.task)}"
    result = context.host.run(f"{command} --executor={shlex.quote(executor)}", marked=False)
    outcome = "failed" if result.exit_code else "success"
    return Outcome(outcome=outcome, exit_code=result.exit_code, seconds=result.seconds)


def _on_v2(context: Context, sample: Sample, repository: str, agent: str) -> Outcome:
    begin = time.monotonic()
    with context.api() as client:
        request = DispatchRequest(agent=agent, task=sample.task, repo=repository, tags={"migration": "shadow"})
        key = f"shadow-{context.run}-{sample.name}"
        accepted = context.retry(lambda: client.dispatch(request, key))
        for seen in client.follow(accepted.id, context.sleep):
            accepted = seen if isinstance(seen, Dispatch) else accepted
    outcome = "success" if accepted.status is Status.SUCCESS else "failed"
    return Outcome(outcome=outcome, exit_code=accepted.exit_code, seconds=time.monotonic() - begin)
