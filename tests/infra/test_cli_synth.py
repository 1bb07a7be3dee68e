"""The real CDK CLI synthesizes an environment without credentials and without network, and takes our command lines."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from outpost_local.cdk import find_cli
from outpost_ops.node import find_node
from tests.infra.conftest import ROOT

UNREACHABLE = "http://127.0.0.1:9"


def cdk(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the CLI as somebody who has neither credentials nor a network."""
    node = find_node()
    environ = {
        "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "AWS_EC2_METADATA_DISABLED": "true",
        "OUTPOST_TODAY": os.environ["OUTPOST_TODAY"],
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), UNREACHABLE),
    }
    argv = [str(node), str(find_cli()), *arguments, "--no-notices"]
    return subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)


def made(target: str, *settings: str) -> list[str]:
    """What make would run for a target, without the name of the CLI."""
    argv = ["make", "--dry-run", "--no-print-directory", target, *settings]
    recipe = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = shlex.split(recipe.splitlines()[-1])
    assert command[0] == "cdk"
    return command[1:]


@pytest.mark.full
@pytest.mark.parametrize("name", ["local", "dev", "staging", "prod"])
def test_make_synth_is_strict_and_needs_neither_credentials_nor_network(tmp_path: Path, name: str) -> None:
    command = made("synth", f"ENV={name}", f"OUT={tmp_path / 'out'}")
    done = cdk(tmp_path, *command)

    assert {"--strict", "--no-lookups"} <= set(command)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("*.template.json"))) == (7 if name in {"local", "prod"} else 6)


@pytest.mark.full
def test_the_cli_takes_the_command_of_make_gc_as_far_as_it_gets_without_credentials(tmp_path: Path) -> None:
    done = cdk(tmp_path, *made("gc", "ENV=dev"), "--output", str(tmp_path / "out"))

    assert "Garbage Collecting environment aws://111111111111/us-east-1" in done.stderr
    assert "no credentials have been configured" in done.stderr
