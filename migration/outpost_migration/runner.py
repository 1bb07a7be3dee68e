"""Runs a step: under the lock, in the journal, with a report that validates against its schema."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from outpost_client import ApiError
from outpost_migration.context import Context
from outpost_migration.errors import MigrationError
from outpost_migration.journal import Content, Entry, Journal
from outpost_migration.reports import REPORTS, Report

NEEDS: Mapping[str, tuple[str, ...]] = {
    "preflight": (),
    "audit": ("preflight",),
    "archive": ("audit",),
    "shadow": ("archive",),
    "validate": ("preflight",),
    "update-clients": ("validate",),
    "cutover": ("archive", "shadow", "validate", "update-clients"),
    "monitor": ("cutover",),
    "verify": ("cutover",),
    "rollback": (),
    "decommission": ("monitor", "verify"),
}
"""Step -> the steps that must have passed."""

Action = Callable[[Context], Report]


@dataclass(frozen=True)
class Runner:
    """Runs the steps of one run for one operator."""

    context: Context

    @property
    def journal(self) -> Journal:
        """The run's journal."""
        context = self.context
        return Journal(context.documents, context.run, context.deployment.environment, context.operator)

    def run(
        self, step: str, action: Action, *, despite: Mapping[str, str] | None = None, take_over: bool = False
    ) -> Report:
        """Run one step and return its report. `despite` maps a step that did not pass to the reason to go on.

        Raises MigrationError, and what AWS or the API answered, after noting it in the journal.
        """
        journal = self.journal
        if self.context.dry_run:
            return action(self.context)
        with journal.held(take_over=take_over):
            content = journal.content
            accepted = _accepted(step, content, despite or {})
            before = content.entries.get(step)
            entry = Entry(
                state="running",
                operator=self.context.operator,
                started_at=self.context.now(),
                attempts=before.attempts + 1 if before else 1,
            )
            journal.set(step, entry)
            try:
                report = action(self.context)
            except (MigrationError, ClientError, BotoCoreError, ApiError) as error:
                journal.set(step, _ended(entry, self.context, "error", error=str(error)))
                raise
            report = report.model_copy(update={"changes": [*accepted, *report.changes]})
            key = self._save(step, report)
            journal.set(step, _ended(entry, self.context, report.status, report=key))
            if step == "rollback":
                _roll_back(journal, content)
        return report

    def _save(self, step: str, report: Report) -> str:
        name, model = REPORTS[step]
        key = f"{self.context.folder}reports/{name}.json"
        self.context.documents.replace(key, model.model_validate_json(report.model_dump_json()))
        return key


def _accepted(step: str, content: Content, despite: Mapping[str, str]) -> list[str]:
    """Return what is gone on despite of. Raises MigrationError naming the first step that has to pass before."""
    accepted = []
    for needed in NEEDS[step]:
        entry = content.entries.get(needed)
        state = entry.state if entry else "not run"
        if state == "pass":
            continue
        if needed not in despite:
            raise MigrationError(
                f"{step} needs {needed} to have passed, which is {state}: run `outpost migrate {needed}`, or go on "
                f"with `outpost migrate --despite {needed}=REASON {step}`"
            )
        accepted.append(f"Went on although {needed} is {state}: {despite[needed]}")
    return accepted


def _ended(entry: Entry, context: Context, state: str, *, report: str | None = None, error: str | None = None) -> Entry:
    return entry.model_copy(update={"state": state, "ended_at": context.now(), "report": report, "error": error})


def _roll_back(journal: Journal, content: Content) -> None:
    """What the cutover reached holds no longer."""
    for step in ("cutover", "monitor", "verify"):
        if entry := content.entries.get(step):
            journal.set(step, entry.model_copy(update={"state": "rolled-back"}))
