"""Runs container images as plain local processes, behind the small part of docker-py that MiniStack's ECS uses.

An image is run from the checkout: its Dockerfile defines what, with the checkout's own Python and source folders.
Each task has a home folder that is removed when it ends, a loopback address of its own (so that many tasks can listen
on the same port and the load balancer finds each) and an init process that leaves nothing behind. It isolates nothing:
same user, same file system, same network as the developer's shell. Linux only (child subreaper, 127.0.0.0/8).
"""

import itertools
import threading
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from docker.errors import NotFound

from outpost_local.images import ImageCatalogue, LocalImages
from outpost_local.process_container import NETWORK, ProcessContainer, plan_launch
from outpost_local.settings import Settings
from outpost_local.task_output import OutputLog

SELF_NAME = "outpost-local"
"""The name under which the engine shows the embedded AWS itself, so that tasks reach it on 127.0.0.1."""


class _SelfContainer:
    """The embedded AWS as a container on the tasks' network; MiniStack reads its own address from it."""

    id = SELF_NAME
    status = "running"
    attrs: ClassVar[dict[str, Any]] = {"NetworkSettings": {"Networks": {NETWORK: {"IPAddress": "127.0.0.1"}}}}


class _Containers:
    """`client.containers`: the tasks of this server."""

    def __init__(self, settings: Settings, catalogue: ImageCatalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._known: dict[str, ProcessContainer] = {}
        self._lock = threading.Lock()
        self._hosts = itertools.cycle(range(1, 255))
        self._closed = False

    def run(self, reference: str, **options: Any) -> ProcessContainer:
        """Start a task; raises UnknownImageError, DockerfileError, OSError, or RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the embedded AWS is stopping")
        container_id = uuid.uuid4().hex
        launch = plan_launch(
            self._catalogue.config(reference),
            overrides=options,
            settings=self._settings,
            home=self._settings.tasks_dir / container_id,
            address=self._free_address(),
        )
        log = OutputLog(self._settings.logs_dir / "tasks" / f"{container_id}.log")
        container = ProcessContainer(container_id, launch, log, options.get("labels") or {})
        with self._lock:
            self._known = {key: known for key, known in self._known.items() if not known.disposable}
            self._known[container_id] = container
        return container

    def get(self, container_id: str) -> ProcessContainer | _SelfContainer:
        if container_id == SELF_NAME:
            return _SelfContainer()
        try:
            return self._known[container_id]
        except KeyError:
            raise NotFound(f"no task {container_id!r}") from None

    def list(self, **_options: Any) -> Sequence[ProcessContainer]:
        with self._lock:
            return [known for known in self._known.values() if not known.disposable]

    def close(self) -> None:
        """Start no more tasks: the service scheduler would replace those that are ended."""
        self._closed = True

    def _free_address(self) -> str:
        """127.x.y.n, where x and y are the gateway port, so that two instances on one machine never meet."""
        with self._lock:
            used = {known.address for known in self._known.values() if known.status == "running"}
            for host in itertools.islice(self._hosts, 254):
                address = f"127.{self._settings.port // 256}.{self._settings.port % 256}.{host}"
                if address not in used:
                    return address
        raise RuntimeError("254 tasks are running: the process engine has no address for another one")


class ProcessEngine:
    """What MiniStack takes for a docker-py client."""

    def __init__(self, settings: Settings) -> None:
        catalogue = ImageCatalogue(settings)
        self.images = LocalImages(catalogue.config)
        self.containers = _Containers(settings, catalogue)

    def ping(self) -> bool:
        """Return True: no engine has to run."""
        return True

    def stop_all(self, timeout: float) -> None:
        """End every task, giving all of them together `timeout` seconds after SIGTERM."""
        self.containers.close()
        stoppers = [
            threading.Thread(target=container.stop, args=(timeout,), name="stop-task")
            for container in self.containers.list()
        ]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
