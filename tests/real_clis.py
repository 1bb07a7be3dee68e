"""The agents' real CLIs, installed from their lock files once for a checkout."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from outpost.domain.agents import Agent

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "container" / "worker" / "agents"


def selected(cases: Iterable[tuple[Agent, str]]) -> list[ParameterSet]:
    """Return pairs of agent and case as parameters: of a matrix, `make test-full` runs a diagonal.

    Each agent and each case is in it: the n-th case with the n-th agent, in turn. The rest has the mark `clis`.
    """
    found = list(cases)
    agents, names = list(dict.fromkeys(agent for agent, _ in found)), list(dict.fromkeys(name for _, name in found))
    steps = max(len(agents), len(names))
    diagonal = {(agents[n % len(agents)], names[n % len(names)]) for n in range(steps)}
    return [
        pytest.param(agent, name, marks=pytest.mark.full if (agent, name) in diagonal else pytest.mark.clis)
        for agent, name in found
    ]


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
