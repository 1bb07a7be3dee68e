"""Docker on this machine, and whether it builds images for the configured architecture."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Literal

from outpost_ops.config import EnvironmentConfig
from outpost_ops.doctor.finding import Finding, Level

Architecture = Literal["x86_64", "arm64"]
_PLATFORMS: dict[Architecture, str] = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_MACHINES: dict[str, Architecture] = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_SECONDS = 20


def check_docker(config: EnvironmentConfig) -> Iterator[Finding]:
    """A Docker engine runs, and builds the platform of the configuration: natively or by emulation."""
    if shutil.which("docker") is None:
        remedy = "install Docker, or deploy from the workflow (.github/workflows/ci.yml)"
        yield Finding("docker", Level.FAILURE, "there is no docker command: images are built on this machine", remedy)
        return
    server = _run("docker", "version", "--format", "{{.Server.Arch}}")
    if server is None:
        yield Finding("docker", Level.FAILURE, "the Docker engine does not respond", "sudo systemctl start docker")
        return
    builders = _run("docker", "buildx", "inspect") or ""
    yield evaluate_engine(config.architecture, _MACHINES.get(server, "x86_64"), builders)


def evaluate_engine(wanted: Architecture, machine: Architecture, builder: str) -> Finding:
    """Return whether a machine's engine builds the architecture; `builder` is the output of `docker buildx inspect`."""
    wanted_platform = _PLATFORMS[wanted]
    platforms = [
        name.strip().rstrip("*")
        for line in builder.splitlines()
        if line.startswith("Platforms:")
        for name in line.partition(":")[2].split(",")
    ]
    if wanted == machine or wanted_platform in platforms:
        how = "natively" if wanted == machine else "by emulation, slowly"
        return Finding("docker", Level.OK, f"builds {wanted_platform} {how}")
    message = f"the engine runs {_PLATFORMS[machine]} only; architecture is {wanted}: exec format error"
    remedy = (
        f"docker run --privileged --rm tonistiigi/binfmt --install {wanted_platform.partition('/')[2]}, or deploy from "
        f'a machine of that architecture, or set architecture = "{machine}"'
    )
    return Finding("docker", Level.FAILURE, message, remedy)


def _run(*argv: str) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None
