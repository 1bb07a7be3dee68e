"""Running instances of the embedded AWS for the tests, each with a temporary data folder and free ports."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outpost_local.cdk import CdkApp
from outpost_local.environment import LocalEnvironment
from outpost_local.realism import Realism
from tests.local.stacks import Stack
from tests.ports import free_port

DEMO = Path(__file__).parent / "demo"
DEMO_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:demo-job"
NO_CHANCE = Realism(
    throttles=0, transaction_conflicts=0, object_conflicts=0, duplicates=0, late_deliveries=0, partial_receives=0
)
"""Lags, but no failure or repetition by chance: boto3 does not retry a conflict, and neither do these tests."""


def new_environment(data_dir: Path) -> LocalEnvironment:
    """An instance that is not started yet; its app is the demonstration app."""
    app = CdkApp(stacks="*", command=f"{sys.executable} {DEMO / 'app.py'}")
    return LocalEnvironment(data_dir, free_port(), free_port(), app=app, realism=NO_CHANCE)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[LocalEnvironment]:
    """An instance of the test's own, not started."""
    local = new_environment(tmp_path / "aws")
    yield local
    local.stop()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """A running, empty account shared by the tests; the demonstration's image can be run."""
    local = new_environment(tmp_path_factory.mktemp("shared") / "aws")
    write_image_asset(local.settings.cdk_out)
    local.start()
    yield local
    local.stop()


def write_image_asset(cdk_out: Path) -> None:
    """What the CDK CLI leaves for an image asset, of the demonstration's job."""
    image = {
        "source": {"directory": str(DEMO), "dockerFile": "Dockerfile", "dockerBuildTarget": "job"},
        "destinations": {"current": {"repositoryName": "assets", "imageTag": "demo-job"}},
    }
    cdk_out.mkdir(parents=True)
    manifest = {"version": "48.0.0", "files": {}, "dockerImages": {"demo-job": image}}
    (cdk_out / "Demo.assets.json").write_text(json.dumps(manifest))


@pytest.fixture
def stack(aws: LocalEnvironment) -> Iterator[Stack]:
    new = Stack(aws)
    yield new
    new.delete()
