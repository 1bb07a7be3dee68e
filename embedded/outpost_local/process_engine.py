"""Runs container images as plain local processes, behind the small part of docker-py that MiniStack's ECS uses.

An image is run from the checkout: its Dockerfile defines what, with the checkout's own Python and source folders.
Each task has a home folder that is removed when it ends, a loopback address of its own (so that many tasks can listen
on the same port and the load balancer finds each) and an init process that leaves nothing behind. It isolates nothing:
same user, same file system, same network as the developer's shell. Linux only (child subreaper, 127.0.0.0/8).
"""

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from docker.errors import NotFound

from outpost_local.images import ImageCatalogue, LocalImages
from outpost_local.process_container import NETWORK, ProcessContainer
from outpost_local.settings import Settings

SELF_NAME = "outpost-local"
"""The name under which the engine shows the embedded AWS itself, so that tasks reach it on 127.0.0.1."""


class EngineContainers:
    """An engine's `client.containers`, with the embedded AWS as a container on the tasks' network.

    MiniStack reads its own address from it.
    """

    def __init__(self, containers: Any, network: str, address: str) -> None:
        self._containers = containers
        self._self = SimpleNamespace(
            id=SELF_NAME,
            status="running",
            attrs={"NetworkSettings": {"Networks": {network: {"IPAddress": address}}}},
        )
        self._closed = False

    def run(self, image: str, **options: Any) -> Any:
        """Start a container; raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the embedded AWS is stopping")
        return self._containers.run(image, **options)

    def get(self, container_id: str) -> Any:
        """Return a container; raises NotFound."""
        return self._self if container_id == SELF_NAME else self._containers.get(container_id)

    def list(self, **options: Any) -> Any:
        """Return the containers."""
        return self._containers.list(**options)

    def close(self) -> None:
        """Start no more containers: the service scheduler would replace those that are ended."""
        self._closed = True


class _Tasks:
    """The tasks of this server, as docker-py's containers."""

    def __init__(self, settings: Settings, catalogue: ImageCatalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._known: dict[str, ProcessContainer] = {}
        self._lock = threading.Lock()
        self._hosts = itertools.cycle(range(1, 255))

    def run(self, reference: str, **options: Any) -> ProcessContainer:
        """Start a task; raises ImageNotFound, DockerfileError or OSError."""
        image = self._catalogue.config(reference)
        container = ProcessContainer(image, options, self._settings, self._free_address())
        with self._lock:
            self._known = {key: known for key, known in self._known.items() if not known.disposable}
            self._known[container.id] = container
        return container

    def get(self, container_id: str) -> ProcessContainer:
        try:
            return self._known[container_id]
        except KeyError:
            raise NotFound(f"no task {container_id!r}") from None

    def list(self, **_options: Any) -> Sequence[ProcessContainer]:
        with self._lock:
            return [known for known in self._known.values() if not known.disposable]

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
        self.containers = EngineContainers(_Tasks(settings, catalogue), NETWORK, "127.0.0.1")

    def ping(self) -> bool:
        """Return True: no engine has to run."""
        return True

    def stop_all(self, timeout: float) -> None:
        """End every task, giving all of them together `timeout` seconds after SIGTERM."""
        self.containers.close()
        tasks = self.containers.list()
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:
            list(pool.map(lambda task: task.stop(timeout), tasks))
