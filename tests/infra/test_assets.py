"""What a container image is built from."""

import json

import pytest

from tests.infra.assembly import Assembly


@pytest.mark.parametrize(
    ("name", "dockerfile"), [("shell", "container/worker/Dockerfile"), (None, "container/control_plane/Dockerfile")]
)
def test_an_image_gets_its_own_code_and_the_shared_code_only(
    assembly: Assembly, environment: str, name: str | None, dockerfile: str
) -> None:
    (image,) = (
        image["source"]
        for file in assembly.folder.glob(f"assembly-Outpost-{environment}/*.assets.json")
        for image in json.loads(file.read_text())["dockerImages"].values()
        if image["source"]["dockerFile"] == dockerfile
    )
    context = (assembly.folder / f"assembly-Outpost-{environment}" / image["directory"]).resolve()
    files = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    own = dockerfile.rpartition("/")[0]

    assert image.get("dockerBuildTarget") == name
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
