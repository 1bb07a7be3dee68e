"""Runs the tasks as real containers of Docker or Podman.

MiniStack speaks to the engine through docker-py; this client narrows what it reaches. Images are the CDK app's own,
built and tagged locally before the deployment under the very names the task definitions use: those name a registry
at amazonaws.com, to which nothing can be pushed here, so nothing is ever pulled either. Containers live on a network
of the instance's own and reach the embedded AWS at that network's gateway address.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from outpost_local.errors import LocalError
from outpost_local.images import LocalImages, read_assets
from outpost_local.process_engine import EngineContainers
from outpost_local.processes import run_shown
from outpost_local.settings import Engine, Settings

_IP_FREEBIND = 15
_CALL_SECONDS = 60
_SOCKETS: dict[Engine, str] = {
    "docker": "unix:///var/run/docker.sock",
    "podman": "unix:///run/podman/podman.sock",
}


@dataclass(frozen=True)
class Bridge:
    """The instance's container network; `gateway` is this machine's address on it."""

    network: str
    gateway: str


def connect(engine: Engine) -> "docker.DockerClient":
    """Return a client of the engine that DOCKER_HOST names, or at its usual socket; raises LocalError."""
    host = os.environ.get("DOCKER_HOST", _SOCKETS[engine])
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        raise LocalError(_no_response(engine, host, "there is no such socket"))
    try:
        return docker.DockerClient(base_url=host, timeout=_CALL_SECONDS, version="auto")
    except DockerException as error:
        raise LocalError(_no_response(engine, host, str(error))) from error


def _no_response(engine: Engine, host: str, reason: str) -> str:
    return (
        f"{engine} does not respond at {host} ({reason}); start it (Podman: `podman system service`), set DOCKER_HOST "
        "to its socket, or run without an engine: --engine process"
    )


def ensure_bridge(client: "docker.DockerClient", settings: Settings) -> Bridge:
    """Return the instance's network, created if necessary."""
    name = _network_name(settings)
    try:
        network = client.networks.get(name)
    except NotFound:
        network = client.networks.create(name, driver="bridge", check_duplicate=True)
        network.reload()
    return Bridge(name, str(network.attrs["IPAM"]["Config"][0]["Gateway"]))


def _network_name(settings: Settings) -> str:
    return f"outpost-{settings.port}"


def end_containers(client: "docker.DockerClient", settings: Settings, timeout: float) -> None:
    """End and remove every container of the instance, all at once, and its network; nothing happens without one.

    Each container has `timeout` seconds to end by itself.
    """
    try:
        network = client.networks.get(_network_name(settings))
    except NotFound:
        return
    containers = client.containers.list(all=True, filters={"network": _network_name(settings)})
    with ThreadPoolExecutor(max(1, len(containers))) as pool:
        list(pool.map(lambda container: _end(container, timeout), containers))
    network.remove()


def _end(container: Container, timeout: float) -> None:
    with suppress(NotFound):  # it ended by itself meanwhile
        container.stop(timeout=int(timeout))
        container.remove(v=True, force=True)


def build_images(settings: Settings, options: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Build every image asset of the cloud assembly under the names it is deployed by, unless it exists.

    `options` go to the engine's `build`. Raises LocalError with the end of its output.
    """
    command = shutil.which(settings.engine)
    if command is None:
        raise LocalError(f"the engine's command {settings.engine!r} was not found; install it, or use --engine process")
    for asset in read_assets(settings).values():
        names = [name for name in asset.names if not _exists(command, name)]
        if names:
            on_line(f"building image {asset.target or asset.hash[:12]}")
            arguments = [f"--file={asset.dockerfile}", *[f"--tag={name}" for name in names]]
            arguments += [f"--target={asset.target}"] if asset.target else []
            arguments += [f"--build-arg={key}={value}" for key, value in asset.build_args.items()]
            code, end = run_shown([command, "build", *arguments, *options, str(asset.context)], on_line)
            if code:
                raise LocalError(f"building an image failed:\n{end}")


def _exists(command: str, image: str) -> bool:
    return subprocess.run([command, "image", "inspect", image], capture_output=True, check=False).returncode == 0


class ContainerEngine:
    """What MiniStack takes for its docker-py client."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.engine)
        self._settings = settings
        self.bridge = ensure_bridge(self._client, settings)
        self.images = LocalImages(self._client.images.get)
        self.containers = EngineContainers(self._client.containers, self.bridge.network, self.bridge.gateway)

    def ping(self) -> bool:
        """Return whether the engine responds."""
        return bool(self._client.ping())

    def stop_all(self, timeout: float) -> None:
        """End and remove every container of the instance, and its network."""
        self.containers.close()
        end_containers(self._client, self._settings, timeout)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket on an address of the container network.

    Podman brings the bridge's interface up with the first container, hence IP_FREEBIND: it may not exist yet.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((host, port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def relay(listener: socket.socket, port: int) -> asyncio.Server:
    """Connect each caller of `listener` with 127.0.0.1:`port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, target_writer), _copy(target_reader, writer))

    return await asyncio.start_server(serve, sock=listener)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side sees the close below
    finally:
        writer.close()
