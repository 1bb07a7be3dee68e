"""One instance of the embedded AWS with its git server and its deployment: what `outpost local` and the tests drive.

The cloud's state lives in the server's memory. After `kill -9` of everything (or a reboot) `start` clears what was
left, begins with an empty account, and `deploy` fills it again; repositories and logs in the data folder stay.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from botocore.session import Session

from outpost_local import processes
from outpost_local.cdk import Cdk, CdkApp
from outpost_local.container_engine import build_images, connect, end_containers, ensure_bridge
from outpost_local.errors import LocalError, ProcessDiedError
from outpost_local.git_server import GitServer
from outpost_local.realism import Realism
from outpost_local.services import wait_until_steady
from outpost_local.settings import REPOSITORY_ROOT, ROOT_KEY, TASK_MARKER, Engine, Settings

DEFAULT_PORT = 4566
DEFAULT_GIT_PORT = 9418
_SERVER = "server"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "DOCKER_HOST", "CONTAINERS_CONF", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Status:
    """What of an instance runs."""

    endpoint: str
    git_url: str
    server_pid: int | None
    git_running: bool
    deployed: bool
    tasks: Mapping[str, str]
    """Running ECS tasks: task id -> task definition family."""

    @property
    def running(self) -> bool:
        """Whether the embedded AWS runs."""
        return self.server_pid is not None


class LocalEnvironment:
    """An instance in `data_dir`, on ports of its own; every method may be called again, in any state."""

    def __init__(  # noqa: PLR0913 - what an instance differs in
        self,
        data_dir: Path,
        port: int = DEFAULT_PORT,
        git_port: int = DEFAULT_GIT_PORT,
        engine: Engine = "process",
        *,
        app: CdkApp | None = None,
        build_options: Sequence[str] = (),
        realism: Realism | None = None,
        tls_port: int = 0,
        task_environment: Mapping[str, str] | None = None,
    ) -> None:
        """`build_options` go to the container engine's `build`, for instance another base image.

        Without `realism`, `OUTPOST_REALISM` and the defaults apply. The account and the region are those of the app's
        configuration.
        """
        self.app = app or CdkApp()
        values = self.app.values()
        self.settings = Settings(
            data_dir.resolve(),
            port,
            engine,
            git_port,
            realism or Realism.from_environment(),
            account=values["account"],
            region=values["region"],
            tls_port=tls_port,
            task_environment=task_environment or {},
        )
        self._build_options = build_options
        self.git = GitServer(self.settings.data_dir, git_port)

    @property
    def _cdk(self) -> Cdk:
        return Cdk(self.settings, self.environ(), self.app)

    def runs(self) -> bool:
        """Return whether the embedded AWS runs; raises LocalError when it runs with other settings than these."""
        record = processes.find(_SERVER, self.settings.data_dir)
        if record is None:
            return False
        wanted = (self.settings.port, self.settings.git_port, self.settings.engine)
        if (record.port, record.git_port, record.detail) != wanted:
            raise LocalError(
                f"the embedded AWS in {self.settings.data_dir} already runs with other settings: repeat "
                f"`make up ENGINE={record.detail} PORT={record.port} GIT_PORT={record.git_port}`, "
                "or run `make down` first to change them"
            )
        return True

    def start(self) -> None:
        """Start the embedded AWS and the git server unless they run.

        Raises PortInUseError, ProcessDiedError with the end of the log, or LocalError when it runs with other settings.
        """
        if not self.runs():
            self._start_server()
        self.git.start()

    def deploy(self, on_line: processes.OnLine) -> None:
        """Bootstrap if necessary, deploy the app's stacks and wait until every ECS service is steady.

        `on_line` gets each line of progress. Raises DeployError.
        """
        config = self._cdk.render_config(self._git_url_of_tasks())
        if not self._bootstrapped():
            self._cdk.bootstrap(on_line)
        in_containers = self.settings.engine != "process"
        if in_containers:
            self._cdk.synth(config, on_line)
            build_images(self.settings, self._build_options, on_line)
        # Once synthesized it is deployed as it is: another synthesis might name other images than were built.
        self._cdk.deploy(config, on_line, synthesized=in_containers)
        wait_until_steady(self.client("ecs"), on_line)

    def destroy(self, on_line: processes.OnLine, stacks: Sequence[str] = ()) -> None:
        """Delete some of the app's stacks, else all; raises DeployError."""
        self._cdk.destroy(self._cdk.render_config(self._git_url_of_tasks()), on_line, stacks)

    def stop(self) -> None:
        """End everything `start` started, with every task, wherever it is; logs and repositories stay."""
        processes.end(_SERVER, self.settings.data_dir)
        self.git.stop()
        processes.end_leftovers(self.settings.data_dir)
        if self.settings.engine != "process":
            with closing(connect(self.settings.engine)) as client:
                end_containers(client, self.settings, timeout=0)  # the server may have been killed
        self._cdk.outputs_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop, then delete the data folder except the git server's repositories: they may be the only copy of work.

        Raises LocalError when the folder does not look like one of ours, or something in it cannot be deleted.
        """
        self.stop()
        data_dir, logs = self.settings.data_dir, self.settings.logs_dir
        doomed = [path for path in data_dir.glob("*") if path not in (self.git.repositories, logs)]
        if doomed and not logs.exists():
            raise LocalError(f"{data_dir} is not a data folder of the embedded AWS; it was left alone")
        # The logs go last: they mark the folder as ours when the rest could not be deleted.
        for path in [*doomed, logs, *([] if self.git.has_repositories else [data_dir])]:
            _delete(path)

    def status(self) -> Status:
        """Return what runs now."""
        server = processes.find(_SERVER, self.settings.data_dir)
        return Status(
            endpoint=self.settings.endpoint,
            git_url=self.git.url,
            server_pid=server.pid if server else None,
            git_running=self.git.running,
            deployed=server is not None and bool(self.outputs()),
            tasks=self._running_tasks() if server else {},
        )

    def outputs(self) -> dict[str, dict[str, str]]:
        """Return the stack outputs of the last deployment: stack name -> output name -> value."""
        return self._cdk.outputs()

    def environ(self) -> dict[str, str]:
        """Return the variables that point any AWS SDK or CLI at this instance, as the account's root user."""
        return {
            "AWS_ENDPOINT_URL": self.settings.endpoint,
            "AWS_ENDPOINT_URL_S3": self.settings.endpoint,
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
            "AWS_REGION": self.settings.region,
            "AWS_DEFAULT_REGION": self.settings.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def session(self) -> boto3.Session:
        """Return a boto3 session of the account's root user; its clients need `endpoint_url`, `client` sets it.

        It reads no profile and no configuration file of the user's.
        """
        nowhere = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        return boto3.Session(
            aws_access_key_id=ROOT_KEY,
            aws_secret_access_key=ROOT_KEY,
            region_name=self.settings.region,
            botocore_session=Session(session_vars=nowhere),
        )

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account's root user."""
        directly = Config(proxies={})  # not by the user's proxy
        return self.session().client(service, endpoint_url=self.settings.endpoint, config=directly)  # type: ignore[call-overload]

    def task_processes(self, task_id: str) -> list[psutil.Process]:
        """Return the processes of a running task, its init process first; none with a container engine."""
        found = {process.pid: process for process in processes.marked(self.settings.data_dir, TASK_MARKER, task_id)}
        for process in found.values():
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                # Its children inherit the marker: the init process is the one whose parent has none.
                if process.ppid() not in found:
                    return [process, *process.children(recursive=True)]
        return []

    def _start_server(self) -> None:
        self.stop()
        self._check_ports()
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        process = processes.start(
            _SERVER,
            [sys.executable, "-m", "outpost_local.server", self.settings.to_json()],
            data_dir=self.settings.data_dir,
            port=self.settings.port,
            log=self.settings.server_log,
            env=_server_environment(self.settings.data_dir),
            detail=self.settings.engine,
            git_port=self.settings.git_port,
        )
        if not processes.wait_for_port(self.settings.port, process):
            raise ProcessDiedError("embedded AWS", self.settings.server_log)

    def _check_ports(self) -> None:
        port = self.settings.port
        if port == self.settings.git_port:
            raise LocalError(f"port {port} is wanted twice; choose another: `make up PORT={port} GIT_PORT={port + 1}`")
        processes.check_port_free(port, "PORT")
        if self.settings.tls_port:
            processes.check_port_free(self.settings.tls_port, "TLS_PORT")
        self.git.check_port()

    def _git_url_of_tasks(self) -> str:
        """Return the git server's URL where the tasks are: on this machine, or on the container network."""
        if self.settings.engine == "process":
            return self.git.url
        with closing(connect(self.settings.engine)) as client:
            gateway = ensure_bridge(client, self.settings).gateway
        return f"git://{gateway}:{self.settings.git_port}"

    def _bootstrapped(self) -> bool:
        cloudformation = self.client("cloudformation")
        stacks = cloudformation.list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])
        return any(stack["StackName"] == "CDKToolkit" for stack in stacks["StackSummaries"])

    def _running_tasks(self) -> dict[str, str]:
        ecs = self.client("ecs")
        tasks: dict[str, str] = {}
        for cluster in ecs.list_clusters()["clusterArns"]:
            arns = ecs.list_tasks(cluster=cluster)["taskArns"]
            for task in ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []:
                family = task["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]
                tasks[task["taskArn"].rpartition("/")[2]] = family
        return tasks


def _delete(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise LocalError(f"{path} could not be deleted: {error}; delete it yourself and repeat `make down`") from error


def _server_environment(data_dir: Path) -> dict[str, str]:
    """Return a small environment: Lambda processes inherit it, and nothing of the user's shell should reach them."""
    passed_on = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    return {**passed_on, "HOME": str(data_dir), "PYTHONPATH": str(REPOSITORY_ROOT), "PYTHONUNBUFFERED": "1"}
