"""Renew the agents' command-line programs: the newest versions, their lock files, and the tests that they have to pass.

`python -m tools.renew_agents [AGENT...]`, all agents without a name. When the tests fail, all files are as before.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from outpost.domain.agents import CATALOGUE, Agent

ROOT = Path(__file__).resolve().parent.parent
AGENTS = ROOT / "container" / "worker" / "agents"
PAGE = ROOT / "docs" / "agents.md"
VERSIONS = "versions.toml"
HEADING = "| agent | program | pinned in | provider | default size |\n"
"""Of the documentation's table of agents."""
PACKAGE = """{
  "name": "NAME",
  "private": true,
  "dependencies": {}
}
"""
"""The `package.json` of a new agent."""
TESTS = ("test_conformance.py", "test_real_clis*.py")


@dataclass(frozen=True)
class Pin:
    """A program as `versions.toml` has it."""

    registry: str
    """`npm` or `pypi`."""
    package: str
    version: str


class RenewalError(Exception):
    """A registry, or the tests, did not take the new versions; the text says which."""


def read_pins(folder: Path) -> dict[str, Pin]:
    """Return the programs of a folder's `versions.toml`, by agent."""
    content = tomllib.loads((folder / VERSIONS).read_text())
    return {
        agent: Pin(registry, fields[registry], fields["version"])
        for agent, fields in content.items()
        for registry in fields.keys() - {"version"}
    }


def newest(pin: Pin) -> str:
    """Return the newest version that the registry has, by the registry's own client."""
    if pin.registry == "npm":
        return _output(["npm", "view", pin.package, "version"]).strip()
    resolve = ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-"]
    return _output(resolve, given=pin.package).strip().rpartition("==")[2]


def write(folder: Path, page: Path, pins: Mapping[str, Pin]) -> None:
    """Write versions, what is derived from them, and the table of the documentation. Raises `RenewalError`."""
    versions, table = (folder / VERSIONS).read_text(), page.read_text()
    for agent, pin in pins.items():
        line = f'{agent} = {{ {pin.registry} = "{pin.package}", version = "{pin.version}" }}'
        versions = re.sub(rf"^{agent} = .*$", line, versions, flags=re.MULTILINE)
        table = _with_row(table, agent, pin)
        _write_package(folder / agent, pin)
    (folder / VERSIONS).write_text(versions)
    page.write_text(table)
    if any(pin.registry == "npm" for pin in pins.values()):
        _output(["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _with_row(page: str, agent: str, pin: Pin) -> str:
    """Return the documentation with the agent's row up to date: a row of its own, below the last, if it has none."""
    program = f"| {agent} | `{pin.package}` {pin.version} |"
    page, found = re.subn(rf"^\| {agent} \| `[^`]*` \S+ \|", lambda _: program, page, flags=re.MULTILINE)
    if found:
        return page
    if agent not in {*Agent}:
        raise RenewalError(f"{agent}: add it to the catalogue in outpost/domain/agents.py")
    entry = CATALOGUE[Agent(agent)]
    lock = "package-lock.json" if pin.registry == "npm" else f"{agent}/requirements.txt"
    size = f"{entry.cpu / 1024:g} vCPU, {entry.memory / 1024:g} GB"
    row = f"{program} `container/worker/agents/{lock}` | {entry.provider or '-'} | {size} |"
    end = page.index("|\n\n", page.index(HEADING)) + 2
    return f"{page[:end]}{row}\n{page[end:]}"


def _write_package(folder: Path, pin: Pin) -> None:
    """Write the file that the registry's client locks; for PyPI the lock file too."""
    folder.mkdir(exist_ok=True)
    if pin.registry == "npm":
        file = folder / "package.json"
        text = file.read_text() if file.exists() else PACKAGE.replace("NAME", f"outpost-agent-{folder.name}")
        locked = f'"dependencies": {{ "{pin.package}": "{pin.version}" }}'
        file.write_text(re.sub(r'"dependencies": *\{[^}]*\}', lambda _: locked, text))
        return
    (folder / "requirements.in").write_text(f"{pin.package}=={pin.version}\n")
    options = ["--quiet", "--upgrade", "--generate-hashes", "--universal", "--no-annotate", "--no-header"]
    python = ["--python-version", "3.11"]
    _output(["uv", "pip", "compile", *options, *python, "requirements.in", "--output-file", "requirements.txt"], folder)


def renew(folder: Path, page: Path, agents: Sequence[str], passes: Callable[[Sequence[str]], bool]) -> list[str]:
    """Renew agents without files and those with a newer program, and return what changed, one line each.

    `passes` runs the tests for these agents. Raises `RenewalError` when they fail; then all files are as before.
    """
    pins = read_pins(folder)
    if unknown := [agent for agent in agents if agent not in pins]:
        raise RenewalError(f"{', '.join(unknown)}: not in {folder / VERSIONS}; it has {', '.join(pins)}")
    chosen = {agent: pins[agent] for agent in agents or pins}
    found = {agent: replace(pin, version=newest(pin)) for agent, pin in chosen.items()}
    changed = {agent: pin for agent, pin in found.items() if pin != pins[agent] or not (folder / agent).is_dir()}
    report = [f"{agent}: {pin.package} {pins[agent].version} -> {pin.version}" for agent, pin in changed.items()]
    if changed:
        print(*report, sep="\n", flush=True)
        before = {file: file.read_bytes() for file in [page, *folder.rglob("*")] if file.is_file()}
        kept = False
        try:
            write(folder, page, changed)
            kept = passes(list(changed))
        finally:
            if not kept:
                _restore(folder, before)
        if not kept:
            raise RenewalError("The tests fail with the new versions: all files are as before.")
    return report


def _restore(folder: Path, before: Mapping[Path, bytes]) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and file not in before:
            file.unlink()
    for file, content in before.items():
        file.write_bytes(content)


def conformance(agents: Sequence[str]) -> bool:
    """Run the conformance suite and the real programs of these agents; returns whether they passed."""
    files = [str(file) for pattern in TESTS for file in sorted((ROOT / "tests" / "worker").glob(pattern))]
    command = ["pytest", "-q", "-m", "not clis", "-k", " or ".join(agents), *files]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _output(command: Sequence[str], folder: Path | None = None, given: str = "") -> str:
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise RenewalError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def main() -> int:
    """Renew, and report what changed."""
    parser = argparse.ArgumentParser(description="Renew the agents' command-line programs.")
    parser.add_argument("agents", nargs="*", help="agents to renew; all without a name")
    try:
        changed = renew(AGENTS, PAGE, parser.parse_args().agents, conformance)
    except RenewalError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(changed)} renewed. `make test-clis` tries them in every case." if changed else "All are the newest.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
