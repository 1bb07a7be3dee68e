"""The shell agent: the task is a script. No model, no key."""

from pathlib import Path

from outpost.domain.dispatch import Spec
from worker.adapters.base import Invocation


class Shell:
    """Runs the task with bash, from its file."""

    def invocation(self, task_file: Path, spec: Spec) -> Invocation:
        """Return the call of bash."""
        return Invocation(argv=("bash", str(task_file)))
