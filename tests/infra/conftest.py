"""One synthesis of every environment, with cdk-nag, shared by all infrastructure tests."""

import os
from pathlib import Path

import pytest

from outpost.local.cdk import find_node

os.environ.setdefault("JSII_NODE", str(find_node()))  # read when aws_cdk is imported

from app import OutpostApp
from outpost.config import load
from tests.infra.assembly import Assembly, synthesize

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Every environment of `config/`, with the context of cdk.json."""
    return synthesize(OutpostApp(outdir=str(tmp_path_factory.mktemp("cdk.out"))))


@pytest.fixture
def agent(environment: str) -> str:
    """One of the environment's agents: the first in the alphabet."""
    return str(min(load(ROOT / "config" / f"{environment}.toml").enabled_agents))


@pytest.fixture(params=sorted(path.stem for path in (ROOT / "config").glob("*.toml")))
def environment(request: pytest.FixtureRequest) -> str:
    """The name of each environment in turn."""
    return str(request.param)
