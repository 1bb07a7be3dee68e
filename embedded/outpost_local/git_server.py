"""Git repositories for local dispatches: a git daemon on loopback, and a sample project to try things on.

Repositories are read-only unless their own configuration has `daemon.receivepack = true`, as the sample's does.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from outpost_local import processes
from outpost_local.errors import LocalError, ProcessDiedError

SAMPLE_REPOSITORY = "outpost/sample"
_NAME = "git"

SAMPLE_FILES: Mapping[str, str] = {
    "README.md": "# temperature\n\nConverts temperatures. `python -m unittest` runs the tests.\n",
    "temperature.py": '''"""Temperature conversion."""

ABSOLUTE_ZERO = -273.15


def to_fahrenheit(celsius: float) -> float:
    """Convert degrees Celsius to degrees Fahrenheit."""
    if celsius < ABSOLUTE_ZERO:
        raise ValueError(f"{celsius} is below absolute zero ({ABSOLUTE_ZERO})")
    return celsius * 9 / 5 + 32
''',
    "test_temperature.py": """import unittest

from temperature import to_fahrenheit


class Conversion(unittest.TestCase):
    def test_water_freezes_at_32(self) -> None:
        self.assertEqual(to_fahrenheit(0), 32)

    def test_nothing_is_colder_than_absolute_zero(self) -> None:
        with self.assertRaises(ValueError):
            to_fahrenheit(-300)
""",
}

# A commit that depends on nothing of this machine has the same id everywhere.
_GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Outpost",
    "GIT_AUTHOR_EMAIL": "outpost@example.com",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Outpost",
    "GIT_COMMITTER_EMAIL": "outpost@example.com",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "PATH": os.environ.get("PATH", os.defpath),
}


class GitServer:
    """Serves the bare repositories `<data folder>/git/<owner>/<name>.git` as git://127.0.0.1:<port>/<owner>/<name>."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self._data_dir = data_dir
        self._port = port
        self.repositories = data_dir / "git"

    @property
    def url(self) -> str:
        """The base URL; a repository is at `<url>/<owner>/<name>`."""
        return f"git://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the daemon unless it runs; raises PortInUseError or ProcessDiedError."""
        if self.running:
            return
        self.check_port()
        self.repositories.mkdir(parents=True, exist_ok=True)
        argv = ["git", "daemon", "--listen=127.0.0.1", f"--port={self._port}", "--reuseaddr", "--export-all"]
        argv += ["--log-destination=stderr", f"--base-path={self.repositories}", str(self.repositories)]
        log = self._data_dir / "logs" / "git.log"
        process = processes.start(_NAME, argv, data_dir=self._data_dir, port=self._port, log=log, env=_GIT_ENVIRONMENT)
        if not processes.wait_for_port(self._port, process):
            raise ProcessDiedError("git server", log)

    def check_port(self) -> None:
        """Raise PortInUseError when another program listens on the daemon's port."""
        processes.check_port_free(self._port, "GIT_PORT")

    def stop(self) -> None:
        """End the daemon if it runs."""
        processes.end(_NAME, self._data_dir)

    @property
    def running(self) -> bool:
        """Whether the daemon runs."""
        return processes.find(_NAME, self._data_dir) is not None

    @property
    def has_repositories(self) -> bool:
        """Whether anything lies where repositories are served from."""
        return self.repositories.exists() and any(self.repositories.iterdir())

    def create_repository(self, name: str, files: Mapping[str, str]) -> str:
        """Create a repository `owner/name` with one commit of `files` on branch main; return the commit id.

        An existing repository is left as it is.
        """
        bare = self.repositories / f"{name}.git"
        if not bare.exists():
            bare.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=bare.parent) as work:
                for path, text in files.items():
                    file = Path(work, path)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
                _git("init", "--quiet", "--initial-branch=main", cwd=work)
                _git("add", "--all", cwd=work)
                _git("commit", "--quiet", "--message=Convert temperatures", cwd=work)
                _git("clone", "--quiet", "--bare", work, f"{work}.git", cwd=bare.parent)
                shutil.move(f"{work}.git", bare)
        return _git("rev-parse", "main", cwd=bare)

    def create_sample_repository(self) -> str:
        """Create the sample project, to which results can be promoted; return its `owner/name`."""
        self.create_repository(SAMPLE_REPOSITORY, SAMPLE_FILES)
        _git("config", "daemon.receivepack", "true", cwd=self.repositories / f"{SAMPLE_REPOSITORY}.git")
        return SAMPLE_REPOSITORY


def _git(*arguments: str, cwd: str | Path) -> str:
    try:
        finished = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the machine's git, found on PATH
            cwd=cwd,
            env=_GIT_ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise LocalError("git was not found; install it (Debian: apt install git)") from error
    except subprocess.CalledProcessError as error:
        raise LocalError(f"git {arguments[0]} failed: {error.stderr.strip()}") from error
    return finished.stdout.strip()
