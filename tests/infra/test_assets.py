"""What a container image is built from."""

import json

import pytest

from outpost.config import load
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT


@pytest.mark.parametrize("dockerfile", ["container/worker/Dockerfile", "container/control_plane/Dockerfile"])
def test_an_image_gets_its_own_code_and_the_shared_code_only(
    assembly: Assembly, environment: str, dockerfile: str
) -> None:
    images = [
        image["source"]
        for file in assembly.folder.glob(f"assembly-Outpost-{environment}/*.assets.json")
        for image in json.loads(file.read_text())["dockerImages"].values()
        if image["source"]["dockerFile"] == dockerfile
    ]
    contexts = [(assembly.folder / f"assembly-Outpost-{environment}" / i["directory"]).resolve() for i in images]
    listings = [{str(path.relative_to(c)) for path in c.rglob("*") if path.is_file()} for c in contexts]
    files = listings[0]
    own = dockerfile.rpartition("/")[0]

    assert all(listing == files for listing in listings)
    agents = sorted(load(ROOT / "config" / f"{environment}.toml").enabled_agents)
    targets = agents if own.endswith("worker") else [None]

    assert sorted(image.get("dockerBuildTarget") for image in images) == targets
    assert {dockerfile, "pyproject.toml", "uv.lock", "outpost/names.py", "outpost/domain/agents.py"} <= files
    assert {path.split("/")[1] for path in files if path.startswith("container/")} == {own.split("/")[1]}
    assert {path.split("/")[0] for path in files} == {"pyproject.toml", "uv.lock", "outpost", "container"}
    assert {path.split("/")[1] for path in files if path.startswith("outpost/")} == {
        "__init__.py",
        "names.py",
        "domain",
        "store",
    }
    assert not [path for path in files if "__pycache__" in path or path.endswith(".pyc")]
