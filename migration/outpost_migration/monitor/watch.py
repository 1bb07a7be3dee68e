"""One tick of the monitor: take the samples that are due, evaluate them, write everything down.

A tick takes every sample that an earlier tick missed, as far back as `REACH`; running it twice changes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost_migration.monitor.documents import DocumentChangedError, Documents
from outpost_migration.monitor.evaluation import baseline, checks, due_checkpoints, figures, proposal, stretches
from outpost_migration.monitor.model import CHUNK, CURRENT_PLAN, Baseline, Checkpoint, Chunk, Plan, Sample, State
from outpost_migration.monitor.sources import AccountSources

REACH = timedelta(hours=3)
"""How long a missing sample is tried again."""


@dataclass(frozen=True)
class Watch:
    """The monitor of one environment."""

    documents: Documents
    sources: AccountSources

    def plan(self) -> Plan | None:
        """Return what is to be watched, or None."""
        return self.documents.value(Plan, CURRENT_PLAN)

    def tick(self, now: datetime) -> State | None:
        """Do what is due. Returns where the monitor stands, or None when nothing is to be watched."""
        plan = self.plan()
        if plan is None:
            return None
        for number in self._open_chunks(plan, now):
            self._fill(plan, number, now)
        samples = self.samples(plan)
        seen = plan.due(now, plan.metric_delay_seconds)
        for after in due_checkpoints(plan, now):
            self._checkpoint(plan, samples, after, now)
        if plan.window_seconds in due_checkpoints(plan, now) and (found := baseline(plan, samples)):
            self._once(baseline_key(plan), found)
        state = State(
            plan=plan, ticked_at=now, figures=figures(plan, samples, seen), proposal=proposal(plan, samples, seen)
        )
        self.documents.replace(state_key(plan), state)
        return state

    def samples(self, plan: Plan) -> dict[int, Sample]:
        """Return every sample of the window so far."""
        chunks = self.documents.values(Chunk, f"{plan.folder}samples/")
        return {sample.index: sample for chunk in chunks for sample in chunk.samples}

    def checkpoints(self, plan: Plan) -> list[Checkpoint]:
        """Return the checkpoints evaluated so far."""
        return list(self.documents.values(Checkpoint, f"{plan.folder}checkpoints/"))

    def state(self, plan: Plan) -> State | None:
        """Return where the monitor stood at its last tick."""
        return self.documents.value(State, state_key(plan))

    def baseline(self, plan: Plan) -> Baseline | None:
        """Return the saved baseline, if the window was healthy."""
        return self.documents.value(Baseline, baseline_key(plan))

    def _open_chunks(self, plan: Plan, now: datetime) -> Iterator[int]:
        due = plan.due(now, plan.metric_delay_seconds)
        for number in range((due + CHUNK - 1) // CHUNK):
            if plan.at((number + 1) * CHUNK) > now - REACH:
                yield number

    def _fill(self, plan: Plan, number: int, now: datetime) -> None:
        """Complete one document of samples as far as the sources know."""
        key = f"{plan.folder}samples/{number:05d}.json"
        stored = self.documents.read(Chunk, key)
        old = {sample.index: sample for sample in (stored.value.samples if stored else ())}
        indexes = range(number * CHUNK, min((number + 1) * CHUNK, plan.due(now, plan.metric_delay_seconds)))
        new = self._with_traffic(plan, old, indexes)
        new = self._with_calls(plan, new, range(indexes.start, min(indexes.stop, plan.due(now, plan.lag_seconds))))
        if new != old:
            chunk = Chunk(samples=tuple(new[index] for index in sorted(new)))
            with suppress(DocumentChangedError):  # by another tick at the same time; the next one sees what it wrote
                self.documents.write(key, chunk, stored.etag if stored else None)

    def _with_traffic(self, plan: Plan, known: Mapping[int, Sample], indexes: range) -> dict[int, Sample]:
        missing = [index for index in indexes if index not in known or known[index].healthy is None]
        if not missing:
            return dict(known)
        found = self.sources.traffic(plan, missing[0], missing[-1])
        return {**known, **{index: found[index] for index in missing if index in found}}

    def _with_calls(self, plan: Plan, known: Mapping[int, Sample], indexes: range) -> dict[int, Sample]:
        missing = [index for index in indexes if index in known and known[index].v1_dispatches is None]
        result = dict(known)
        for stretch in stretches(missing):
            calls = self.sources.v1_calls(plan.at(stretch.start), plan.at(stretch.stop))
            if calls is None:
                continue
            for index in stretch:
                mine = [call for call in calls if plan.at(index) <= call.time < plan.at(index + 1)]
                update = {"v1_dispatches": len(mine), "v1_callers": tuple(sorted({call.caller for call in mine}))}
                result[index] = result[index].model_copy(update=update)
        return result

    def _checkpoint(self, plan: Plan, samples: Mapping[int, Sample], after: int, now: datetime) -> None:
        count = after // plan.period_seconds
        found = figures(plan, samples, count)
        checkpoint = Checkpoint(after_seconds=after, figures=found, checks=checks(found, whole=count), taken_at=now)
        self._once(f"{plan.folder}checkpoints/{after:07d}.json", checkpoint)

    def _once(self, key: str, document: Checkpoint | Baseline) -> None:
        with suppress(DocumentChangedError):  # what is written once never changes
            self.documents.write(key, document, None)


def state_key(plan: Plan) -> str:
    """Where the monitor's state is."""
    return f"{plan.folder}state.json"


def baseline_key(plan: Plan) -> str:
    """Where the baseline is."""
    return f"{plan.folder}baseline.json"
