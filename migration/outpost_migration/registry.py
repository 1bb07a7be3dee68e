"""All steps, in the order in which they are run."""

from typing import Any

from outpost_migration.step import Step
from outpost_migration.steps import (
    archive,
    audit,
    clients,
    cutover,
    decommission,
    monitor,
    preflight,
    rollback,
    shadow,
    validate,
    verify,
)

STEPS: dict[str, Step[Any]] = {
    step.name: step
    for step in (
        preflight.STEP,
        audit.STEP,
        archive.STEP,
        shadow.STEP,
        validate.STEP,
        clients.STEP,
        cutover.STEP,
        monitor.STEP,
        verify.STEP,
        rollback.STEP,
        decommission.STEP,
    )
}
"""Name -> step."""
