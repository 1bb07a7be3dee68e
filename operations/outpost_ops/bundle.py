"""The code of the Lambda functions as one folder: locked dependencies for the target platform, then our modules.

Of ours it has what the handlers in `lambda/*/handler.py` import, directly or not: no list names what ships.

Built at synth without Docker, and reproducible to the byte. The dependencies are installed once by uv and kept under
`build/` (keyed by what was locked, architecture and Python version), so only the first build needs the network.
`make setup` fills that cache. boto3 is left out: the Lambda runtime has it.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path

from outpost_ops.errors import OperationError

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCE_ROOTS = (".", "lambda", "migration")
"""Folders that functions import from; pyproject.toml forbids them what else lies there."""
PLATFORMS = {"x86_64": "x86_64-manylinux2014", "arm64": "aarch64-manylinux2014"}
RUNTIME_PROVIDES = ("boto3", "urllib3")
"""Left out with everything that only they need; versions of the runtime apply."""


class BundleError(OperationError):
    """The functions' code could not be built; the text says what to do."""


def build_functions(architecture: str, python: str) -> Path:
    """Return the folder with the functions' code for that architecture and Python version, building it if need be.

    Raises `BundleError` when uv is missing or cannot install the locked dependencies.
    """
    dependencies = _dependencies(architecture, python)
    sources = _sources()
    digest = hashlib.sha256(dependencies.name.encode())
    for path in sources:
        digest.update(f"{_place(path)}\0".encode() + path.read_bytes() + b"\0")
    target = BUILD / "functions" / digest.hexdigest()[:16]
    if not target.exists():
        with _staging(target) as staging:
            shutil.copytree(dependencies, staging, dirs_exist_ok=True)
            for path in sources:
                copy = staging / _place(path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            _normalise(staging)
    return target


def _sources() -> list[Path]:
    """Return our code and its data, in a fixed order: no other files, so that caches and notes change nothing."""
    found: set[Path] = set()
    handlers = (f"{path.parent.name}.handler" for path in ROOT.glob("lambda/*/handler.py"))
    pending = {file for handler in handlers for file in _files(handler)}
    while pending:
        path = pending.pop()
        found.add(path)
        imported = _imports(path.read_text(encoding="utf-8"))
        pending |= {file for name in imported for file in _files(name)} - found
    return sorted([*found, *(data for folder in {path.parent for path in found} for data in folder.glob("*.toml"))])


@cache
def _imports(source: str) -> frozenset[str]:
    """Return the names that a module imports: of modules, and of what may be a module in a package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _files(name: str) -> Iterator[Path]:
    """Yield the files that an import of this name runs; none for what is not ours."""
    for root in SOURCE_ROOTS:
        for path in (ROOT.joinpath(root, *parts) for parts in accumulate([part] for part in name.split("."))):
            yield from (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file())


def _place(path: Path) -> Path:
    """Return where a source file lies in the bundle: `lambda/` and `migration/` are source roots, not packages."""
    relative = path.relative_to(ROOT)
    return relative.relative_to(relative.parts[0]) if relative.parts[0] in ("lambda", "migration") else relative


def _dependencies(architecture: str, python: str) -> Path:
    requirements = _uv(
        *("export", "--quiet", "--offline", "--frozen", "--no-dev", "--group", "functions", "--no-emit-project"),
        *("--no-header", "--no-annotate", *(f"--prune={name}" for name in RUNTIME_PROVIDES)),
    )
    key = hashlib.sha256(f"{requirements}\0{architecture}\0{python}".encode()).hexdigest()[:16]
    target = BUILD / "dependencies" / key
    if not target.exists():
        with _staging(target) as staging, tempfile.TemporaryDirectory() as folder:
            listing = Path(folder) / "requirements.txt"
            listing.write_text(requirements, encoding="utf-8")
            _uv(
                *("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
                *("--python-platform", PLATFORMS[architecture], "--python-version", python),
                *("--link-mode", "copy", "--target", str(staging), "--requirements", str(listing)),
            )
            _normalise(staging)
    return target


def _normalise(folder: Path) -> None:
    """Remove what differs from build to build, and fix modes and times."""
    for path in [*folder.rglob("__pycache__"), folder / "bin", folder / ".lock"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for info in folder.glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"):
            (info / name).unlink(missing_ok=True)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (315_532_800, 315_532_800))  # 1980-01-01: the oldest time a ZIP file can hold


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes `target` only once complete, so that an interrupted build leaves nothing behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as folder:
        staging = Path(folder) / target.name
        staging.mkdir()
        yield staging
        try:
            staging.rename(target)
        except OSError:
            if not target.exists():  # else another build was faster, with the same content
                raise


def _uv(*arguments: str) -> str:
    """Run uv in the checkout and return its output."""
    uv = os.environ.get("OUTPOST_UV") or shutil.which("uv", path=f"{ROOT / '.tools'}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise BundleError("uv was not found on PATH or in .tools: run `make setup`, or set OUTPOST_UV to its path")
    done = subprocess.run([uv, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(
            f"uv {arguments[0]} failed while building the functions' code:\n{done.stderr.strip()}\n"
            "The first build for an architecture and Python version downloads the locked wheels: "
            "check the network, then run `make setup` again."
        )
    return done.stdout
