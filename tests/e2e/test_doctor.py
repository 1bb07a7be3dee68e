"""`outpost doctor` finds nothing in the way of the environment that is deployed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from outpost_local.environment import LocalEnvironment


def test_nothing_stands_in_the_way_of_another_deploy(deployed: LocalEnvironment) -> None:
    argv = [str(Path(sys.executable).with_name("outpost")), "doctor", "--env", "local", "--json"]

    done = subprocess.run(argv, env=os.environ | deployed.environ(), capture_output=True, text=True, check=False)

    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each for each in findings if each["level"] != "ok"] == []
    assert done.returncode == 0, done.stderr
    assert {"bootstrap", "service-linked roles", "stacks", "names", "quotas"} <= {each["check"] for each in findings}
    assert "Outpost-local-Data" in next(each["message"] for each in findings if each["check"] == "stacks")
