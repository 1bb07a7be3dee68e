"""A container engine for tests, where one can be had: Docker's, or Podman's with a service of the tests' own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outpost_local.container_engine import connect
from outpost_local.errors import LocalError
from outpost_local.settings import Engine
from tests.eventually import eventually

LOCAL_BASE = "localhost/outpost-test-base:bookworm"
DEFAULT_BASE = "docker.io/library/python:3.13-slim-bookworm"


@contextmanager
def container_engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine that responds; skip with the reason where there is none."""
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("docker") and responds("docker"):
            yield "docker"
        elif shutil.which("podman"):
            patch.setenv("CONTAINERS_CONF", str(write_podman_settings(folder)))
            patch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
            service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{folder}/socket"],  # noqa: S607
                cwd=folder,  # its monitors leave files there
            )
            try:
                if not eventually(lambda: responds("podman") or service.poll() is not None) or service.poll():
                    pytest.skip("not run: podman system service does not start here")
                yield "podman"
            finally:
                service.terminate()
                service.wait()
        else:
            pytest.skip("not run: neither docker nor podman works here")


def responds(engine: Engine) -> bool:
    try:
        connect(engine).close()
    except LocalError:
        return False
    return True


def build_options(engine: Engine, folder: Path) -> list[str]:
    """Return what a build needs here; skip, saying so, where no base image can be had."""
    options = ["--network=host", f"--build-arg=BASE_IMAGE={_base_image(engine, folder)}"]
    if engine == "podman":
        options.append("--volume=/etc/ssl/certs:/etc/ssl/certs:ro")
    return options


def _base_image(engine: Engine, folder: Path) -> str:
    """Return the default base image, or, where no registry can be reached, one made of Debian's packages."""
    for name in (LOCAL_BASE, DEFAULT_BASE):
        if _succeeds(engine, "image", "inspect", name):
            return name
    if _succeeds(engine, "pull", DEFAULT_BASE):
        return DEFAULT_BASE
    if shutil.which("mmdebstrap") is None:
        pytest.skip(f"not run: {DEFAULT_BASE} cannot be pulled and mmdebstrap is not installed")
    archive = folder / "base.tar"
    packages = "--include=python3,python3-venv,ca-certificates,git"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(archive)],  # noqa: S607
        check=True,
        timeout=300,
    )
    subprocess.run([engine, "import", str(archive), LOCAL_BASE], check=True, timeout=300)
    archive.unlink()
    return LOCAL_BASE


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0


def write_podman_settings(folder: Path) -> Path:
    runtime = '[engine]\nruntime = "runc"\n' if shutil.which("runc") else ""
    settings = folder / "containers.conf"
    settings.write_text(f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n{runtime}')
    return settings
