"""Make a release: `python tools/release.py 1.2.3` sets the version, moves `changes/` to CHANGELOG.md, commits and tags.

The project and its client (clients/) have one version: `/health`, `outpost version` and the image labels show it.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("outpost", "outpost-client")
"""Members of the uv workspace, which have one version."""
NOTES = "changes"
"""Folder of the entries that are not released, a file each (towncrier's news fragments)."""
NEXT = "## To the next release\n"
"""Heading of docs/upgrading.md for what is not released."""


class ReleaseError(Exception):
    """The release cannot be made; nothing was changed. The text says what to do."""


def relocked(lock: str, version: str) -> str:
    """Return the lock file with our packages' new version, the rest unchanged: locking anew would ask the network."""
    own = rf'^(name = "(?:{"|".join(PACKAGES)})"\nversion = )".*"$'
    return re.sub(own, rf'\g<1>"{version}"', lock, flags=re.MULTILINE)


def check(version: str, current: str, status: str, notes: list[Path]) -> None:
    """Raise `ReleaseError` unless the version is a later one, the checkout is clean and `notes` has entries."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"VERSION={version!r} is not of the form x.y.z: make release VERSION={current}")
    if _parts(version) <= _parts(current):
        raise ReleaseError(f"VERSION={version} is not later than {current}")
    if status:
        raise ReleaseError(f"the checkout has changes; commit them first:\n{status}")
    if not notes:
        raise ReleaseError(f"{NOTES}/ has no entries: write what this release brings (CONTRIBUTING.md)")


def release(version: str, root: Path) -> None:
    """Make the release in a checkout. Raises `ReleaseError`, and `CalledProcessError` when git or uv fails."""
    current = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    check(version, current, _run("git", "status", "--porcelain", root=root), list((root / NOTES).glob("*.*.md")))
    lock, guide = root / "uv.lock", root / "docs" / "upgrading.md"
    guide.write_text(
        guide.read_text(encoding="utf-8").replace(NEXT, f"{NEXT}\nNothing.\n\n## To {version}\n"), encoding="utf-8"
    )
    _run("towncrier", "build", "--yes", "--version", version, "--date", f"{datetime.now(UTC):%Y-%m-%d}", root=root)
    for package in PACKAGES:
        _run("uv", "version", version, "--package", package, "--frozen", root=root)
    lock.write_text(relocked(lock.read_text(encoding="utf-8"), version), encoding="utf-8")
    _run("uv", "lock", "--check", "--quiet", root=root)
    _run("git", "commit", "--quiet", "--message", f"Release {version}", "--all", root=root)
    _run("git", "tag", "--annotate", f"v{version}", "--message", f"Outpost {version}", root=root)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _run(program: str, *arguments: str, root: Path) -> str:
    executable = shutil.which(program)
    if executable is None:
        raise ReleaseError(f"{program} was not found: run `make setup`")
    done = subprocess.run([executable, *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def main() -> None:
    """Release the version given as the only argument."""
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        release(version, ROOT)
    except ReleaseError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with exit code {error.returncode}; undo with: git reset --hard")
    print(f"Released {version}. Publish it: git push --follow-tags")


if __name__ == "__main__":
    main()
