"""Docker builds the configured architecture natively, by emulation, or not at all."""

import shutil
from pathlib import Path

import pytest

from outpost_ops.config import load
from outpost_ops.doctor.docker import Architecture, check_docker, evaluate_engine
from outpost_ops.doctor.finding import Level
from tests.doctor.conftest import ROOT

NATIVE = "Name: default\nPlatforms: linux/amd64, linux/amd64/v2, linux/386\n"
EMULATING = "Name: default\nPlatforms: linux/amd64*, linux/arm64*, linux/386\n"


@pytest.mark.parametrize(
    ("wanted", "machine", "builder", "level", "said"),
    [
        ("x86_64", "x86_64", "", Level.OK, "natively"),
        ("arm64", "arm64", "", Level.OK, "natively"),
        ("arm64", "x86_64", EMULATING, Level.OK, "by emulation"),
        ("arm64", "x86_64", NATIVE, Level.FAILURE, "exec format error"),
        ("x86_64", "arm64", "", Level.FAILURE, "exec format error"),
    ],
)
def test_an_engine_builds_its_own_platform_and_those_that_it_emulates(
    wanted: Architecture, machine: Architecture, builder: str, level: Level, said: str
) -> None:
    finding = evaluate_engine(wanted, machine, builder)

    assert (finding.level, bool(finding.remedy)) == (level, level is not Level.OK)
    assert said in finding.message


def test_a_machine_without_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    (finding,) = check_docker(load(ROOT / "config" / "dev.toml"))

    assert (finding.check, finding.level) == ("docker", Level.FAILURE)
    assert "install Docker" in finding.remedy


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command")
def test_this_machines_docker() -> None:
    (finding,) = check_docker(load(ROOT / "config" / "dev.toml"))

    assert finding.message
