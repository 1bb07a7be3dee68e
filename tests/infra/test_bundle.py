"""The functions' code: the locked packages for the target, our code, and nothing that differs from build to build."""

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import grimp
import pytest

from outpost_ops import bundle
from outpost_ops.bundle import BundleError, build_functions

AARCH64 = (183).to_bytes(2, "little")
"""The machine in the header of an ELF file."""
HOST = (
    "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
    f"{sys.version_info.major}.{sys.version_info.minor}",
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the bundle is made of, whose files a test may change; installed packages come from the cache."""
    root = tmp_path / "checkout"
    for name in ("outpost", "lambda", "migration"):
        shutil.copytree(bundle.ROOT / name, root / name)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(bundle.ROOT / name, root / name)
    build_functions(*HOST)
    shutil.copytree(bundle.BUILD / "dependencies", root / "build" / "dependencies")
    monkeypatch.setattr(bundle, "BUILD", root / "build")
    monkeypatch.setattr(bundle, "ROOT", root)
    return root


def digest(folder: Path) -> str:
    """Over names, modes, times and bytes of every file."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        total.update(f"{path.relative_to(folder)} {status.st_mode:o} {status.st_mtime}\n".encode())
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def test_two_builds_are_the_same_to_the_byte(checkout: Path) -> None:
    first = build_functions(*HOST)
    before = digest(first)
    shutil.rmtree(checkout / "build")

    second = build_functions(*HOST)

    assert (second, digest(second)) == (first, before)


def test_tests_and_caches_change_nothing(checkout: Path) -> None:
    before = build_functions(*HOST)
    for place in ("tests/unit/test_x.py", "outpost/domain/__pycache__/x.cpython-311.pyc", "lambda/broker/notes.md"):
        path = checkout / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("anything")

    assert build_functions(*HOST) == before


def test_a_change_of_our_code_changes_the_bundle(checkout: Path) -> None:
    before = build_functions(*HOST)
    handler = checkout / "lambda" / "reconciler" / "handler.py"
    handler.write_text(handler.read_text() + "\n")

    after = build_functions(*HOST)

    assert after != before
    assert (after / "reconciler" / "handler.py").read_bytes() == handler.read_bytes()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in (bundle.ROOT / "lambda").glob("*/__init__.py")))
def test_each_function_can_be_imported_with_the_bundle_and_the_runtimes_own_packages_only(
    tmp_path: Path, name: str
) -> None:
    provided = tmp_path / "runtime"
    provided.mkdir()
    packages = Path(boto3.__file__).parents[1]
    for package in ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six.py"):
        (provided / package).symlink_to(packages / package)
    script = f"import sys; sys.path[:0] = {[str(build_functions(*HOST)), str(provided)]!r}; import {name}.handler as m"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"{script}; assert callable(m.handler)"],
        env={"AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_compiled_packages_are_those_of_the_target() -> None:
    libraries = list(build_functions("arm64", "3.14").rglob("*.so"))

    assert libraries
    assert {path.read_bytes()[18:20] for path in libraries} == {AARCH64}
    assert {path.name.partition(".")[2] for path in libraries} == {"cpython-314-aarch64-linux-gnu.so", "abi3.so"}


def test_the_models_are_in_the_bundle_and_change_it(checkout: Path) -> None:
    before = build_functions(*HOST)
    models = checkout / "outpost" / "domain" / "models.toml"
    models.write_text(models.read_text() + "\n")

    after = build_functions(*HOST)

    assert after != before
    assert (after / "outpost" / "domain" / "models.toml").read_bytes() == models.read_bytes()


def test_the_bundle_has_the_modules_that_the_handlers_import_and_no_others() -> None:
    packages = [path.parent.name for path in (bundle.ROOT / "lambda").glob("*/__init__.py")]
    graph = grimp.build_graph("outpost", "outpost_migration", *packages, cache_dir=None)
    run = {f"{package}.handler" for package in packages}
    run |= {module for handler in run for module in graph.find_upstream_modules(handler)}
    run |= {".".join(name.split(".")[:depth]) for name in run for depth in range(1, name.count(".") + 1)}
    folder = build_functions(*HOST)
    ours = [path for name in ("outpost", "outpost_migration", *packages) for path in (folder / name).rglob("*.py")]

    bundled = {".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__") for path in ours}
    assert bundled == run
    assert not [path for path in folder.rglob("*") if path.name in {"__pycache__", "RECORD", "boto3", "botocore"}]


def test_a_new_function_is_found_by_itself(checkout: Path) -> None:
    folder = checkout / "lambda" / "greeter"
    folder.mkdir()
    for name, text in {"__init__": "", "handler": "from greeter import words\n", "words": ""}.items():
        (folder / f"{name}.py").write_text(text)

    built = build_functions(*HOST) / "greeter"

    assert {path.name for path in built.iterdir()} == {"__init__.py", "handler.py", "words.py"}


def test_without_uv_the_error_says_what_to_do(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("OUTPOST_UV", raising=False)

    with pytest.raises(BundleError, match="run `make setup`"):
        build_functions(*HOST)


def test_a_failing_install_leaves_nothing_behind_and_says_why(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(checkout / "build")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(checkout / "empty-cache"))

    with pytest.raises(BundleError, match="check the network"):
        build_functions(*HOST)

    assert list((checkout / "build" / "dependencies").iterdir()) == []
