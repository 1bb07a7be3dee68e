"""What a container image is built from."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from outpost_ops import bundle
from outpost_ops.config import load
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT

BASE = re.compile("docker.io/library/python:3.13-slim-bookworm@sha256:[0-9a-f]{64}")
DOCKERFILES = sorted((ROOT / "container").glob("*/Dockerfile"))


def test_every_image_begins_with_the_same_base_pinned_by_digest() -> None:
    bases = set()
    for dockerfile in DOCKERFILES:
        lines = dockerfile.read_text(encoding="utf-8").splitlines()
        bases |= {line.removeprefix("ARG BASE_IMAGE=") for line in lines if line.startswith("ARG BASE_IMAGE=")}
        stages = {"${BASE_IMAGE}"}
        for image, stage in re.findall("^FROM (\\S+) AS (\\S+)$", "\n".join(lines), re.MULTILINE):
            assert image in stages, f"{dockerfile}: {image} is neither the pinned base nor a stage"
            stages.add(stage)

    (base,) = bases
    assert BASE.fullmatch(base)


def test_the_base_is_renewed_in_every_dockerfile(tmp_path: Path) -> None:
    """Runs the target with a registry's reply in place of Docker, in a copy of the checkout's files."""
    digest = f"sha256:{'0' * 64}"
    for dockerfile in DOCKERFILES:
        copy = tmp_path / dockerfile.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(dockerfile.read_bytes())
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    docker = tmp_path / ".tools" / "docker"
    docker.parent.mkdir()
    docker.write_text(f"#!/bin/sh\necho {digest}\n")
    docker.chmod(0o755)

    subprocess.run(["make", "--silent", "base-image"], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607

    for dockerfile in DOCKERFILES:
        renewed = (tmp_path / dockerfile.relative_to(ROOT)).read_text(encoding="utf-8")
        assert renewed == re.sub("sha256:[0-9a-f]{64}", digest, dockerfile.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("dockerfile", "others"),
    [
        ("container/worker/Dockerfile", set()),
        ("container/control_plane/Dockerfile", {"clients"}),
    ],
)
def test_an_image_gets_its_own_code_and_the_shared_code_only(
    assembly: Assembly, environment: str, dockerfile: str, others: set[str]
) -> None:
    images = _images(assembly, environment, dockerfile)
    contexts = [_context(assembly, environment, image) for image in images]
    listings = [{str(path.relative_to(c)) for path in c.rglob("*") if path.is_file()} for c in contexts]
    files = listings[0]
    own = dockerfile.rpartition("/")[0]

    assert all(listing == files for listing in listings)
    agents = sorted(load(ROOT / "config" / f"{environment}.toml").enabled_agents)
    built = {
        image["dockerBuildArgs"]["AGENT"]: image["dockerBuildTarget"]
        for image in images
        if "dockerBuildTarget" in image
    }

    assert sorted(built) == (agents if own.endswith("worker") else [])
    assert all(target == ("shell" if agent == "shell" else "agent") for agent, target in built.items())
    assert {dockerfile, "pyproject.toml", "uv.lock", "outpost/names.py", "outpost/domain/models.toml"} <= files
    assert {path.split("/")[1] for path in files if path.startswith("container/")} == {own.split("/")[1]}
    assert {path.split("/")[0] for path in files} == {"pyproject.toml", "uv.lock", "outpost", "container"} | others
    assert {Path(path).parts[1] for path in files if path.startswith("clients/")} <= {"outpost_client"}
    # A checkout that was updated may have folders of former packages, with nothing in them but caches.
    kept = (path.relative_to(ROOT / "outpost") for path in (ROOT / "outpost").rglob("*") if path.is_file())
    shared = {path.parts[0] for path in kept if "__pycache__" not in path.parts}
    assert {path.split("/")[1] for path in files if path.startswith("outpost/")} == shared
    assert not [path for path in files if "__pycache__" in path or path.endswith(".pyc")]


IMPORT_ALL = """
import sys
refused = set(sys.argv[1].split())
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)
sys.meta_path.insert(0, Refusal())
for module in sys.argv[2:]:
    __import__(module)
"""


@pytest.mark.parametrize(("package", "group"), [("worker", "worker"), ("control_plane", "control-plane")])
def test_an_image_has_every_module_that_its_program_imports(
    assembly: Assembly, environment: str, package: str, group: str, tmp_path: Path
) -> None:
    image = _images(assembly, environment, f"container/{package}/Dockerfile")[0]
    context = _context(assembly, environment, image)
    root = context / "container"
    roots = [str(context), str(context / "clients"), str(root)]
    modules = [".".join(file.relative_to(root).with_suffix("").parts) for file in (root / package).rglob("*.py")]

    # Elsewhere, so that the checkout itself is not on the path.
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, " ".join(_modules_outside(group)), *modules],
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join(roots), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert modules
    assert done.returncode == 0, done.stderr


def _modules_outside(group: str) -> list[str]:
    """Return the modules installed here that an image with this group's packages would not have."""
    export = ("export", "--quiet", "--offline", "--frozen", "--no-emit-project", "--no-default-groups")
    listing = bundle._uv(*export, "--no-hashes", "--no-annotate", "--no-header", f"--group={group}")
    locked = {line.partition("==")[0] for line in listing.splitlines()}
    return [
        module
        for module, distributions in packages_distributions().items()
        if not locked & {re.sub("[-_.]+", "-", name).lower() for name in distributions}
    ]


def _images(assembly: Assembly, environment: str, dockerfile: str) -> list[dict[str, Any]]:
    """Return what the environment's images of that Dockerfile are built from."""
    return [
        image["source"]
        for file in assembly.folder.glob(f"assembly-Outpost-{environment}/*.assets.json")
        for image in json.loads(file.read_text())["dockerImages"].values()
        if image["source"]["dockerFile"] == dockerfile
    ]


def _context(assembly: Assembly, environment: str, image: dict[str, Any]) -> Path:
    return (assembly.folder / f"assembly-Outpost-{environment}" / str(image["directory"])).resolve()
