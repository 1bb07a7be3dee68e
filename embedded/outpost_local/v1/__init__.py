"""A v1 host to migrate from, for tests and demonstration: a hybrid instance of the embedded AWS.

It is a folder: `<data folder>/hosts/<mi-...>/root` stands for the machine's `/`, and the file `online` beside it for
its running SSM agent. The embedded AWS executes Run Command there for real.
"""

import secrets
import shutil
from pathlib import Path

from outpost_migration.v1.layout import BASE, SCRIPTS

_HERE = Path(__file__).parent
_AGENTS = ("claude", "codex", "gemini", "aider", "grok")


class DemonstrationHost:
    """One v1 host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance_id = folder.name
        self.base = folder / "root" / BASE.lstrip("/")

    def switch(self, *, online: bool) -> None:
        """Start or stop its SSM agent."""
        marker = self.folder / "online"
        marker.touch() if online else marker.unlink(missing_ok=True)

    def scripts(self) -> list[str]:
        """Names of the files where v1's scripts are."""
        return sorted(path.name for path in (self.base / "scripts").iterdir())


def hosts_folder(data_dir: Path) -> Path:
    """Return where the hosts of an instance of the embedded AWS are."""
    return data_dir / "hosts"


def ensure_host(data_dir: Path, git_url: str) -> DemonstrationHost:
    """Return the host of that data folder; the first call sets it up with v1's scripts and stand-ins for the agents."""
    existing = sorted(hosts_folder(data_dir).glob("mi-*"))
    folder = existing[0] if existing else hosts_folder(data_dir) / f"mi-{secrets.token_hex(9)[:17]}"
    host = DemonstrationHost(folder)
    if not existing:
        (host.base / "scripts").mkdir(parents=True)
        (host.base / "executors").mkdir()
        (host.base / "runs").mkdir()
        for name in SCRIPTS:
            shutil.copy2(_HERE / "scripts" / name, host.base / "scripts" / name)
        for agent in _AGENTS:
            shutil.copy2(_HERE / "executors" / "agent", host.base / "executors" / agent)
    (host.base / "config.env").write_text(f"GIT_BASE={git_url}\n", encoding="utf-8")
    host.switch(online=True)
    return host
