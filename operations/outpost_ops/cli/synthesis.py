"""The templates of an environment as they are now, for commands that look at what would be deployed."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from outpost_ops.errors import OperationError
from outpost_ops.node import find_node
from outpost_ops.templates import Templates, read_assembly

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Synthesis:
    """One environment, synthesized."""

    templates: Templates
    bootstrap_version: int
    """Of the CDK's bootstrap stack that the templates need."""


def synthesized(environment: str) -> Synthesis:
    """Synthesize an environment of `config/`. Raises `OperationError` when that fails."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "CDK_OUTDIR": folder,
            "CDK_CONTEXT_JSON": json.dumps({"environment": environment}),
            "CDK_VALIDATION": "false",
            "JSII_NODE": str(find_node()),
        }
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
        found = read_assembly(Path(folder))
        # Templates are written before they are checked: an environment above its ceiling is the one to be shown.
        if not found:
            raise OperationError(f"{environment} cannot be synthesized:\n{done.stderr}")
        return Synthesis(found[0], _bootstrap_version(Path(folder)))


def _bootstrap_version(assembly: Path) -> int:
    """Return the highest version that a stack or an asset of the assembly asks for."""
    artifacts = [
        artifact
        for manifest in assembly.rglob("manifest.json")
        for artifact in json.loads(manifest.read_text(encoding="utf-8")).get("artifacts", {}).values()
    ]
    return max(int(each.get("properties", {}).get("requiresBootstrapStackVersion", 0)) for each in artifacts)
