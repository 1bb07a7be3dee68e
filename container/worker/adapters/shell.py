"""The shell agent: the task is a script. No model, no key."""

from collections.abc import Mapping

from worker.adapters.base import Adapter, Invocation, Run


class Shell(Adapter):
    """Runs the task with bash, from its file."""

    exit_codes: Mapping[int, str] = {126: "a command is not executable", 127: "a command was not found"}

    def invocation(self, run: Run) -> Invocation:
        """Return the call of bash."""
        return Invocation(argv=("bash", str(run.task_file)))
