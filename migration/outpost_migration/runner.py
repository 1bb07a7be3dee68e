"""Runs a step: under the lock, in the journal, with a report that validates against its schema."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from outpost_client import ApiError
from outpost_migration.context import Context
from outpost_migration.journal import Content, Entry
from outpost_migration.step import R, Step
from outpost_ops.errors import OperationError


def run_step(
    context: Context,
    step: Step[R],
    *,
    despite: Mapping[str, str] | None = None,
    take_over: bool = False,
    **options: Any,
) -> R:
    """Run one step and return its report. `despite` maps a step that did not pass to the reason to continue.

    Raises OperationError, and the errors of AWS and of the API, which are noted in the journal first.
    """
    if context.dry_run:
        return step.run(context, **options)
    journal = context.journal
    with journal.held(take_over=take_over):
        content = journal.content
        accepted = _accepted(step, content, despite or {})
        before = content.entries.get(step.name)
        entry = Entry(
            state="running",
            operator=context.operator,
            started_at=context.started_at,
            attempts=before.attempts + 1 if before else 1,
        )
        journal.set(step.name, entry)
        try:
            report = step.run(context, **options)
        except (OperationError, ClientError, BotoCoreError, ApiError) as error:
            journal.set(step.name, entry.ended("error", context.now(), error=str(error)))
            raise
        report = report.model_copy(update={"changes": [*accepted, *report.changes]})
        key = context.report_key(step.report)
        context.documents.replace(key, step.report.model_validate_json(report.model_dump_json()))
        journal.set(step.name, entry.ended(report.status, context.now(), report=key))
        for undone in step.undoes:
            if found := content.entries.get(undone):
                journal.set(undone, found.model_copy(update={"state": "rolled-back"}))
    return report


def _accepted(step: Step[Any], content: Content, despite: Mapping[str, str]) -> list[str]:
    """Return a line for each needed step that did not pass. Raises OperationError for one without a reason."""
    accepted = []
    for needed in step.needs:
        entry = content.entries.get(needed)
        state = entry.state if entry else "not run"
        if state == "pass":
            continue
        if needed not in despite:
            raise OperationError(
                f"{step.name} needs {needed} to have passed, which is {state}: run `outpost migrate {needed}`, or "
                f"continue with `outpost migrate --despite {needed}=REASON {step.name}`"
            )
        accepted.append(f"Continued although {needed} is {state}: {despite[needed]}")
    return accepted
