"""One synthesis of every environment, with cdk-nag, shared by all infrastructure tests."""

import os
from pathlib import Path

import pytest

from outpost_ops.node import find_node

os.environ.setdefault("JSII_NODE", str(find_node()))  # read when aws_cdk is imported

from app import OutpostApp
from outpost_ops.config import load
from tests.infra.assembly import Assembly, synthesize

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("dev", "local", "prod", "staging")
"""The environments of this project, whose state is pinned; others in `config/` have to be valid only."""


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Every environment of `config/`, with the context of cdk.json."""
    return synthesize(OutpostApp(outdir=str(tmp_path_factory.mktemp("cdk.out"))))


@pytest.fixture(scope="session")
def other_dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Dev in another network, from which workers reach two networks only."""
    folder = tmp_path_factory.mktemp("other-dev")
    text = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8").replace("10.61.0.0/16", "10.71.0.0/16")
    egress = 'worker_egress = ["203.0.113.0/24", "198.51.100.7/32"]'
    (folder / "dev.toml").write_text(text.replace('nat = "instance"', f'nat = "instance"\n{egress}'), encoding="utf-8")
    return synthesize(OutpostApp(outdir=str(folder / "out"), context={"config": str(folder / "dev.toml")}))


@pytest.fixture
def agent(environment: str) -> str:
    """One of the environment's agents: the first in the alphabet."""
    return str(min(load(ROOT / "config" / f"{environment}.toml").enabled_agents))


@pytest.fixture(params=sorted(path.stem for path in (ROOT / "config").glob("*.toml")))
def environment(request: pytest.FixtureRequest) -> str:
    """The name of each environment in turn."""
    return str(request.param)
