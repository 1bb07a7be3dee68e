"""What one embedded AWS runs with, and where its files lie."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from outpost.local.realism import Realism

Engine = Literal["process", "docker", "podman"]

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROOT_KEY = "test"
"""Access key id and secret of the account's root user: MiniStack's, known to everybody, valid on loopback only."""

INSTANCE_MARKER = "OUTPOST_LOCAL_INSTANCE"
"""Variable in every process of an instance; its value is the data folder. Tells our processes from other people's."""
TASK_MARKER = "OUTPOST_LOCAL_TASK"
"""Variable in the init process of a task; its value is the ECS task id."""

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """One instance: its folder, its gateway port on 127.0.0.1 and how it runs container images."""

    data_dir: Path
    port: int
    engine: Engine = "process"
    git_port: int = 0
    """Where the git server listens; containers reach it through the embedded AWS."""
    realism: Realism = field(default_factory=Realism)

    @property
    def cdk_out(self) -> Path:
        """The cloud assembly of the last deployment; image assets are looked up here."""
        return self.data_dir / "cdk.out"

    @property
    def tasks_dir(self) -> Path:
        """A home folder per running task, removed when the task ends."""
        return self.data_dir / "tasks"

    @property
    def workspaces_dir(self) -> Path:
        """The file system of persistent workspaces: what tasks and functions would mount."""
        return self.data_dir / "workspaces"

    @property
    def logs_dir(self) -> Path:
        """The server's own log and the output of every task."""
        return self.data_dir / "logs"

    @property
    def server_log(self) -> Path:
        """The log of the embedded AWS itself."""
        return self.logs_dir / "server.log"

    @property
    def endpoint(self) -> str:
        """The URL of every AWS API of this instance."""
        return f"http://127.0.0.1:{self.port}"
