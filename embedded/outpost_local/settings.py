"""What one embedded AWS runs with, and where its files lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import TypeAdapter

from outpost_local.realism import Realism

Engine = Literal["process", "docker", "podman"]

ROOT_KEY = "test"
"""Access key id and secret of the account's root user: MiniStack's, known to everybody, valid on loopback only."""

INSTANCE_MARKER = "OUTPOST_LOCAL_INSTANCE"
"""Variable in every process of an instance; its value is the data folder. Distinguishes our processes from others."""
TASK_MARKER = "OUTPOST_LOCAL_TASK"
"""Variable in the init process of a task; its value is the ECS task id."""

OWNER_MARKER = "OUTPOST_LOCAL_OWNER"
"""Variable that an instance's processes inherit from their starter: a test run ends what it started by it."""

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
    account: str = "000000000000"
    region: str = "us-east-1"
    tls_port: int = 0
    """Where load balancers' HTTPS listeners are reached; 0: nowhere."""
    task_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of every task of the process engine; PATH is searched before the task's own."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)

    def to_json(self) -> str:
        """Return all of it as the server's argument."""
        return TypeAdapter(type(self)).dump_json(self).decode()

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
    def certificate(self) -> Path:
        """The certificate of the HTTPS listeners, which their clients have to trust."""
        return self.data_dir / "tls" / "certificate.pem"

    @property
    def certificate_key(self) -> Path:
        """The private key of the certificate."""
        return self.data_dir / "tls" / "key.pem"

    @property
    def registry(self) -> str:
        """The account's private container registry in its region."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    @property
    def endpoint(self) -> str:
        """The URL of every AWS API of this instance."""
        return f"http://127.0.0.1:{self.port}"
