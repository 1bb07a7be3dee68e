"""A container engine for tests, where one can be had: Docker's, or Podman's with a service of the tests' own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outpost.local.container_engine import connect
from outpost.local.errors import LocalError
from outpost.local.settings import Engine
from tests.local.eventually import eventually

BASES = ("localhost/outpost-test-base:bookworm", "docker.io/library/python:3.13-slim-bookworm")


@contextmanager
def container_engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine that answers; skip, saying so, where there is none."""
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("docker") and answers("docker"):
            yield "docker"
        elif shutil.which("podman"):
            patch.setenv("CONTAINERS_CONF", str(write_podman_settings(folder)))
            patch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
            service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{folder}/socket"],  # noqa: S607
                cwd=folder,  # its monitors leave files there
            )
            try:
                if not eventually(lambda: answers("podman") or service.poll() is not None) or service.poll():
                    pytest.skip("not run: podman system service does not start here")
                yield "podman"
            finally:
                service.terminate()
                service.wait()
        else:
            pytest.skip("not run: neither docker nor podman works here")


def answers(engine: Engine) -> bool:
    try:
        connect(engine).close()
    except LocalError:
        return False
    return True


def build_options(engine: Engine) -> list[str]:
    """Return what a build needs here; skip, saying so, without a base image."""
    base = next((name for name in BASES if has_image(engine, name)), None)
    if base is None:
        pytest.skip(f"not run: none of the base images {', '.join(BASES)} is here")
    options = ["--network=host", f"--build-arg=BASE_IMAGE={base}"]
    if engine == "podman":
        options.append("--volume=/etc/ssl/certs:/etc/ssl/certs:ro")
    return options


def write_podman_settings(folder: Path) -> Path:
    runtime = '[engine]\nruntime = "runc"\n' if shutil.which("runc") else ""
    settings = folder / "containers.conf"
    settings.write_text(f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n{runtime}')
    return settings


def has_image(engine: Engine, name: str) -> bool:
    return subprocess.run([engine, "image", "inspect", name], capture_output=True, check=False).returncode == 0
