"""What can go wrong with the embedded AWS, with the remedy."""

from pathlib import Path

from outpost_ops.errors import OperationError


class LocalError(OperationError):
    """The embedded AWS cannot do what was requested; the text has the reason and the remedy."""


class PortInUseError(LocalError):
    """Another program listens where one of ours should."""

    def __init__(self, port: int, variable: str) -> None:
        """`variable` is the one of `make up` that chooses another port."""
        super().__init__(
            f"port {port} on 127.0.0.1 is in use by another program; end it, or choose another port: "
            f"`make up {variable}={port + 1}`"
        )
        self.port = port


class ProcessDiedError(LocalError):
    """A process of ours ended while starting; carries the end of its log."""

    def __init__(self, name: str, log: Path, lines: int = 15) -> None:
        tail = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        super().__init__("\n".join([f"the {name} did not start; the end of {log}:", *tail]))


class DeployError(LocalError):
    """The CDK CLI, or what it deployed, failed."""
