"""The agent's workspace: the repository at a known commit, in files that belong to the agent.

The harness keeps its own git directory, which the agent can read and not write: changes are found by comparing with
that one, so an agent may delete or poison its own `.git`. The agent gets a copy, and checks it out itself: whatever a
hostile repository does to git, it does with the agent's rights.

Init mode `minimal` fetches one commit and checks out the files of its root folder; `git sparse-checkout add` brings
more. That commit comes with all its contents: git would fetch missing ones later, and the agent has no token for that.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from outpost.domain.dispatch import Spec
from worker.clone import CloneError, Cloning, lfs_pointers
from worker.git import RAW_CONTENT, git, git_environment, last_line
from worker.isolation import Isolation, feed_as_agent, stream_as_agent
from worker.settings import Settings
from worker.stop import StopSignal

CHECKOUT_SECONDS = 300.0


class Workspace:
    """Folders of one run below a temporary root, and the repository they began with."""

    def __init__(self, settings: Settings, isolation: Isolation) -> None:
        self._settings = settings
        self._isolation = isolation
        self.root = Path(tempfile.mkdtemp(prefix="outpost-"))
        self.path = self.root / "workspace"
        self.home = self.root / "home"
        self.scratch = self.root / "tmp"
        self.git_dir = self.root / "repository" / ".git"
        self.task_file = self.root / "task"
        self.context_file = self.root / "context.md"
        self.private = self.root / "harness"
        """Not the agent's to read."""
        self.private.mkdir(mode=0o700)
        self.commit_before: str | None = None
        self.url = ""
        """The URL that was cloned: the forge's name for a repository that was renamed."""
        self.lfs_pointers: list[str] = []
        """Files of the repository whose contents Git LFS keeps elsewhere: the workspace has the pointers."""
        self.make_folders(self.path, self.home, self.scratch)

    def make_folders(self, *folders: Path) -> None:
        """Let the agent make folders in the root itself: they are its own, yet it cannot replace them afterwards."""
        self.root.chmod(0o777)
        self.as_agent(["mkdir", "-m", "0755", *map(str, folders)], timeout=10)
        self.root.chmod(0o755)

    def as_agent(self, argv: Sequence[str], *, timeout: float, **variables: str | Path) -> bytes:
        """Run a program on the agent's files; `variables` are git's. Raises `subprocess.CalledProcessError`."""
        return b"".join(self.stream_as_agent(argv, timeout=timeout, **variables))

    def stream_as_agent(self, argv: Sequence[str], *, timeout: float, **variables: str | Path) -> Iterator[bytes]:
        """As `as_agent`, in chunks."""
        return stream_as_agent(self._isolation, argv, environment=self.environment(**variables), timeout=timeout)

    def feed_as_agent(
        self, argv: Sequence[str], data: Iterable[bytes], *, timeout: float, **variables: str | Path
    ) -> None:
        """Run a program on the agent's files that reads `data`. Raises `subprocess.CalledProcessError`."""
        feed_as_agent(self._isolation, argv, data, environment=self.environment(**variables), timeout=timeout)

    def make_readable(self, timeout: float) -> None:
        """Give the agent back what it took from itself, and change no other mode. Raises `CalledProcessError`."""
        folders = ["-type", "d", "!", "-perm", "-u=rwx", "-exec", "chmod", "u+rwx", "--", "{}", ";"]
        files = ["-type", "f", "!", "-perm", "-u=rw", "-exec", "chmod", "u+rw", "--", "{}", "+"]
        self.as_agent(["find", str(self.path), *folders, "-o", *files], timeout=timeout)

    @property
    def began_sparse(self) -> bool:
        """Whether the agent was given the files of the root folder only. A later run of the workspace knows it too."""
        return (self.git_dir / "info" / "sparse-checkout").is_file()

    def existing(self, paths: Sequence[str]) -> list[str]:
        """Return which of these paths, relative to the working tree, exist there."""
        script = 'cd "$0" && for path; do if [ -e "$path" ]; then printf "%s\\0" "$path"; fi; done'
        found = self.as_agent(["sh", "-c", script, str(self.path), *paths], timeout=10)
        return [path.decode() for path in found.split(b"\0") if path]

    def write_task(self, text: str) -> None:
        """Write the file that the agent reads its task from."""
        self.task_file.write_bytes(text.encode())
        self.task_file.chmod(0o644)

    def resume(self) -> None:
        """Continue with the repository and the files that were unpacked here."""
        self.commit_before = self._head()

    def prepare(self, spec: Spec, stop: StopSignal, token: Callable[[], str | None]) -> None:
        """Lay out the repository; `token` gives the forge's, if any. Raises `CloneError`, `Stopped`."""
        if spec.repo is None or spec.workspace_init_mode == "none":
            init = git("init", "--quiet", "--template=", "--initial-branch=main", str(self.git_dir.parent))
            subprocess.run(init, env=self.environment(), cwd=self.root, timeout=30, check=True)
        else:
            cloning = self.clone(spec, stop, token())
            self.commit_before = self._head()
            if self.commit_before is None:
                cloning.check_head(self.url)
        (self.git_dir / "info").mkdir(exist_ok=True)
        (self.git_dir / "info" / "attributes").write_text(RAW_CONTENT)
        if self.commit_before is not None:
            self.lfs_pointers = lfs_pointers(self.environment(GIT_DIR=self.git_dir))
        # The agent has a copy of the git directory and, from it, the files.
        try:
            copy = ["cp", "-R", "--", str(self.git_dir), str(self.path / ".git")]
            self.as_agent(copy, timeout=CHECKOUT_SECONDS)
            if self.commit_before is not None:
                self.as_agent(git("-C", str(self.path), "reset", "--quiet", "--hard"), timeout=CHECKOUT_SECONDS)
        except subprocess.CalledProcessError as error:
            raise CloneError(last_line(error.stderr)) from error

    def clone(self, spec: Spec, stop: StopSignal, token: str | None) -> Cloning:
        """Bring the repository here, without any file of it; sets `url`. Raises `CloneError`, `Stopped`."""
        cloning = Cloning(self._settings, self.git_dir.parent, self.private, stop, token)
        self.url = cloning.clone(spec)
        return cloning

    def _head(self) -> str | None:
        """Return the commit of the checked-out branch; None in a repository without commits."""
        done = self.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", timeout=30, check=False)
        return done.stdout.decode().strip() or None

    def git(
        self, *arguments: str, timeout: float, check: bool = True, text: str = "", **variables: str | Path
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git on the harness's own repository; `text` is its input. Raises `subprocess.SubprocessError`."""
        return subprocess.run(
            git(*arguments),
            env=self.environment(GIT_DIR=self.git_dir, **variables),
            cwd=self.private,
            input=text.encode(),
            capture_output=True,
            timeout=timeout,
            check=check,
        )

    def environment(self, **variables: str | Path) -> dict[str, str]:
        """Return the environment of a helper program; `variables` are git's."""
        return dict(git_environment(self._settings.agent_path, **variables))

    def remove(self) -> None:
        """Delete everything, the agent's part as the agent. What cannot be deleted goes with the container."""
        insides = [str(folder) for folder in self.root.iterdir()]
        for command in (self._isolation.command(["rm", "-rf", "--", *insides]), ["rm", "-rf", "--", str(self.root)]):
            subprocess.run(command, env=self.environment(), check=False, stderr=subprocess.DEVNULL)
