"""One task of the process engine: what it executes, and the running or ended thing itself."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from outpost.names import Env
from outpost_local import task_init
from outpost_local.dockerfile import ImageConfig
from outpost_local.settings import INSTANCE_MARKER, REPOSITORY_ROOT, TASK_MARKER, Settings

NETWORK = "loopback"

_SOURCE_ROOTS = tuple(REPOSITORY_ROOT / root for root in ("", "clients", "constructs", "lambda", "container"))
# These describe the image's file system, which does not exist here.
_IMAGE_ONLY = {"PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TMPDIR"}
# MiniStack never removes a container that ended by itself; its exit code may still be read a moment later.
_KEPT_AFTER_END = 60.0
_READ_BYTES = 65536


def _argv(image: ImageConfig, options: Mapping[str, Any]) -> list[str]:
    """Return what to run for an image with docker-py's arguments `entrypoint` and `command`."""
    entrypoint = options.get("entrypoint") or image.entrypoint
    # As in an engine: an entry point of the caller's own drops the image's command.
    command = options.get("command") or (() if options.get("entrypoint") else image.command)
    argv = [*entrypoint, *command]
    if not argv:
        raise ValueError("neither the image nor the container definition has an entry point or a command")
    if Path(argv[0]).name.startswith("python"):
        argv[0] = sys.executable
    return argv


def _environment(
    image: ImageConfig, options: Mapping[str, Any], settings: Settings, home: Path, address: str
) -> dict[str, str]:
    path = [settings.task_environment.get("PATH", ""), str(Path(sys.executable).parent)]
    path = [*filter(None, path), "/usr/local/bin", "/usr/bin", "/bin"]
    inherited = {key: value for key, value in image.environment.items() if key not in _IMAGE_ONLY}
    environment = {
        "LANG": "C.UTF-8",
        **inherited,
        **(options.get("environment") or {}),
        **settings.task_environment,
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join(map(str, _SOURCE_ROOTS)),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        Env.BIND_HOST: address,
        Env.ISOLATION: "none",
        Env.WORKSPACES_PATH: str(settings.workspaces_dir),  # nothing is mounted
        INSTANCE_MARKER: str(settings.data_dir),
        TASK_MARKER: str(options.get("labels", {}).get("com.amazonaws.ecs.task-arn", "")).rpartition("/")[2],
    }
    return {key: str(value) for key, value in environment.items()}


class OutputLog:
    """The output of one task: a file that readers can follow while it grows."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def copy_from(self, source: IO[bytes]) -> None:
        """Write everything `source` gives until its end; readers see the end also when writing fails."""
        try:
            with self._path.open("wb", buffering=0) as file:
                while chunk := os.read(source.fileno(), _READ_BYTES):
                    file.write(chunk)
                    with self._changed:
                        self._size += len(chunk)
                        self._changed.notify_all()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def read(self) -> bytes:
        """Return what was written so far."""
        return self._path.read_bytes() if self._size else b""

    def follow(self) -> Iterator[bytes]:
        """Yield everything in order, in pieces that need not end where lines end, until the task has ended."""
        position = 0
        while self._wait_beyond(position):
            with self._path.open("rb") as file:
                file.seek(position)
                while piece := file.read(_READ_BYTES):
                    position += len(piece)
                    yield piece

    def _wait_beyond(self, position: int) -> bool:
        with self._changed:
            while self._size <= position and not self._closed:
                self._changed.wait()
            return self._size > position


class ProcessContainer:
    """One running or ended task, with the attributes and methods of a docker-py container."""

    def __init__(self, image: ImageConfig, options: Mapping[str, Any], settings: Settings, address: str) -> None:
        """Start the task with docker-py's arguments of `containers.run`; raises ValueError or OSError."""
        self.id = uuid.uuid4().hex
        self.labels = dict(options.get("labels") or {})
        self.address = address
        """The task's own loopback address."""
        self.attrs = {
            "NetworkSettings": {"Networks": {NETWORK: {"IPAddress": address}}},
            "State": {"Status": "running"},
        }
        self._home = settings.tasks_dir / self.id
        self._removed = False
        self._ended_at: float | None = None
        argv, environment = _argv(image, options), _environment(image, options, settings, self._home, address)
        self._log = OutputLog(settings.logs_dir / "tasks" / f"{self.id}.log")
        (self._home / "tmp").mkdir(parents=True)
        self._process, self._lifeline = _start(argv, environment, self._home)
        self._copier = threading.Thread(target=self._attend, name=f"task-output-{self.id[:8]}", daemon=True)
        self._copier.start()

    def _attend(self) -> None:
        """Copy the output; when the task has ended, remove what it left."""
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was started with a pipe
        try:
            with output:
                self._log.copy_from(output)
        finally:
            self._process.wait()
            os.close(self._lifeline)
            shutil.rmtree(self._home, ignore_errors=True)
            self.attrs["State"] = {"Status": "exited", "ExitCode": self._process.returncode}
            self._ended_at = time.monotonic()

    @property
    def status(self) -> str:
        """`running` or `exited`."""
        return "running" if self._process.poll() is None else "exited"

    def reload(self) -> None:
        """Do nothing: the attributes are always current."""

    def wait(self, timeout: float | None = None) -> dict[str, int]:
        """Return the exit code, as docker-py gives it; raises subprocess.TimeoutExpired."""
        return {"StatusCode": self._process.wait(timeout)}

    def logs(self, *, stream: bool = False, follow: bool = False, **_options: Any) -> bytes | Iterator[bytes]:
        """Return what the task wrote to standard output and error."""
        return self._log.follow() if stream and follow else self._log.read()

    def stop(self, timeout: float = 10) -> None:
        """Send SIGTERM to the command; whatever is left after `timeout` seconds is killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End every process of the task at once; the exit code is 137."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)  # one that is stopped would never see that they ended
        while self._process.poll() is None:
            # The init process outlives them, so that none of its descendants can escape it.
            for pid in task_init.descendants(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)

    def remove(self, *, force: bool = False, **_options: Any) -> None:
        """Forget the task, ending it first when `force`."""
        if force:
            self.kill()
        self._removed = True

    @property
    def disposable(self) -> bool:
        """Whether it is no longer needed: removed, or ended a minute ago."""
        return self._removed or (self._ended_at is not None and time.monotonic() - self._ended_at > _KEPT_AFTER_END)


def _start(argv: Sequence[str], environment: Mapping[str, str], home: Path) -> tuple["subprocess.Popen[bytes]", int]:
    lifeline_read, lifeline_write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", task_init.__file__, str(lifeline_read), *argv],
            env=dict(environment),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[lifeline_read],
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline_write)
        raise
    finally:
        os.close(lifeline_read)
    return process, lifeline_write
