"""The real CDK CLI synthesizes an environment without credentials and without network."""

import os
import subprocess
from pathlib import Path

import pytest

from outpost.local.cdk import find_cli, find_node
from tests.infra.conftest import ROOT

UNREACHABLE = "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ["local", "prod"])
def test_synth_needs_neither_credentials_nor_network(tmp_path: Path, name: str) -> None:
    node = find_node()
    environ = {
        "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), UNREACHABLE),
    }
    argv = [
        str(node),
        str(find_cli()),
        "synth",
        f"Outpost-{name}/*",
        "--strict",
        "--quiet",
        "--no-lookups",
        "--no-notices",
    ]
    done = subprocess.run(
        [*argv, "--context", f"environment={name}", "--output", str(tmp_path / "out")],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("*.template.json"))) == 7
