"""The agents' real CLIs, installed from their lock files once for a checkout."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from outpost.domain.agents import Agent

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "container" / "worker" / "agents"


def path_with_cli(agent: Agent) -> str:
    """Return the PATH of a machine on which the agent's CLI is installed, as its lock file says."""
    pins = b"".join(file.read_bytes() for file in sorted(PINS.rglob("*")) if file.is_file())
    folder = ROOT / "build" / "agents" / hashlib.sha256(pins).hexdigest()[:12] / agent
    tools = [str(ROOT / ".tools" / "bin"), str(ROOT / ".tools"), os.environ["PATH"]]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # another runner may be installing it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            environment = os.environ | {"PATH": os.pathsep.join(tools), "NODE_USE_SYSTEM_CA": "1"}
            subprocess.run([str(PINS / "install.sh"), agent, str(folder)], env=environment, check=True, timeout=500)
            (folder / "installed").touch()
    return os.pathsep.join([str(folder / "bin"), *tools])
