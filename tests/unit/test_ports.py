"""Ports of tests: two runners never choose the same one."""

import json
import subprocess
import sys

from outpost_local.settings import REPOSITORY_ROOT
from tests import ports

# Prints the ports it got of the few there are, and keeps them until it is asked to end.
RUNNER = """
import json, sys
from tests import ports
ports._FIRST, ports._LAST = map(int, sys.argv[1:])
found = []
try:
    while True:
        found.append(ports.free_port())
except RuntimeError:
    print(json.dumps(found), flush=True)
sys.stdin.read()
"""


def test_two_runners_never_have_the_same_port() -> None:
    first = ports.free_port()
    argv = [sys.executable, "-c", RUNNER, str(first), str(first + 3)]
    runners = [
        subprocess.Popen(argv, cwd=REPOSITORY_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    found = [json.loads(runner.stdout.readline()) for runner in runners if runner.stdout]
    for runner in runners:
        runner.communicate()
    chosen = [port for each in found for port in each]
    assert first not in chosen
    assert len(chosen) == len(set(chosen)) > 0


def test_a_port_is_free_again_once_its_runner_has_ended() -> None:
    first = ports.free_port()
    argv = [sys.executable, "-c", RUNNER, str(first + 1), str(first + 2)]
    done = [
        subprocess.run(argv, cwd=REPOSITORY_ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert done[0] == done[1]
