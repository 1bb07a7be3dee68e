"""The wheel of the client: what it requires, what a start of its command loads, and its words."""

import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from outpost.domain import collection, dispatch, tenants
from outpost_client.cli.admin import TIERS
from outpost_client.models import Scope
from outpost_client.results import Collection, Status
from outpost_ops import bundle
from tests.infra.conftest import ROOT
from tests.infra.test_assets import IMPORT_ALL

START = """
import importlib.metadata, json, sys
importlib.metadata.entry_points = lambda **_: []  # of no other package
from outpost_client.cli.main import main
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `make dist` builds it, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("build", "--quiet", "--offline", "--wheel", "--no-build-isolation", "--package", "outpost-client")
    bundle._uv(*build, "--python", sys.executable, "--out-dir", str(folder))
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_runs_with_nothing_but_what_it_requires(unpacked: Path, tmp_path: Path) -> None:
    export = ("export", "--quiet", "--offline", "--frozen", "--package=outpost-client", "--no-emit-workspace")
    listing = bundle._uv(*export, "--no-dev", "--no-hashes", "--no-annotate", "--no-header")
    locked = {line.partition("==")[0] for line in listing.splitlines()}
    others = [
        module
        for module, distributions in packages_distributions().items()
        if not locked & {re.sub("[-_.]+", "-", name).lower() for name in distributions}
    ]
    files = [file.relative_to(unpacked).with_suffix("") for file in unpacked.rglob("*.py")]
    modules = [".".join(file.parts) for file in files]

    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, " ".join([*others, "outpost"]), *modules],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"outpost_client.cli.main", "outpost_client.mcp.stdio"} <= set(modules)
    assert "boto3" in others
    assert done.returncode == 0, done.stderr
    metadata = (next(unpacked.glob("*.dist-info")) / "entry_points.txt").read_text()
    assert "outpost = outpost_client.cli.main:main" in metadata
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert (unpacked / f"outpost_client-{version[1]}.dist-info").is_dir()


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["dispatch", "--help"], ["mcp", "--help"]])
def test_a_start_loads_neither_aws_nor_http_nor_mcp(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert {"outpost_client", "typer"} <= loaded
    assert loaded.isdisjoint({"outpost", "boto3", "botocore", "aws_cdk", "httpx", "mcp"})
    assert "markdown_it" not in loaded  # of Rich's help, which takes as long as all else


def test_the_list_of_commands_loads_none_of_them() -> None:
    start = START.replace("importlib.metadata.entry_points", "_")  # with the commands of operators
    done = subprocess.run([sys.executable, "-c", start, "--help"], capture_output=True, text=True, check=True)

    assert "doctor" in done.stdout
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert loaded.isdisjoint({"boto3", "botocore", "aws_cdk", "httpx", "mcp", "rich", "pydantic"})


def test_the_clients_words_are_those_of_the_service() -> None:
    assert {state.value: state.terminal for state in Status} == {
        state.value: state.terminal for state in dispatch.Status
    }
    assert [scope.value for scope in Scope] == [scope.value for scope in tenants.Scope]
    assert tuple(tenants.TIERS) == TIERS


def test_the_client_describes_what_was_collected_as_the_log_does() -> None:
    of_service = collection.Collection.of(
        [collection.LeftOut(path=f"build/{n}", reason="ignored" if n % 2 else "too large") for n in range(120)],
        [collection.KeptRef(name=f"refs/heads/{n}", commit="c" * 40, subject="fix") for n in range(12)],
        [collection.NestedChange(path=f"lib{n}", kind="submodule", files_changed=n) for n in range(11)],
    )

    of_client = Collection.model_validate_json(of_service.model_dump_json(by_alias=True))

    assert of_client.lines() == of_service.describe()
    assert Collection().lines() == []
