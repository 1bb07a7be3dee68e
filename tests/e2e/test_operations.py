"""The drills of docs/operations.md, run as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from outpost.names import Output
from outpost_local.first_run import api_url, operator_key, output
from tests.aws_command import AwsCommand
from tests.eventually import eventually

Outpost = Any
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def block(heading: str) -> list[str]:
    """The commands of the console block below a heading."""
    found = re.search(rf"^## {heading}\n.*?^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, heading
    return [line.removeprefix("$ ") for line in found[1].splitlines()]


def test_a_table_is_restored_as_the_drill_says(outpost: Outpost) -> None:
    client = outpost.environment.client("dynamodb")
    table = output(outpost.environment, Output.TENANTS_TABLE)
    answers: dict[str, Any] = {}
    arn = ""
    for line in block("Restore drill"):
        command = AwsCommand.parse(line.replace("BACKUP_ARN", arn or "BACKUP_ARN").replace("TABLE", table))
        answers[command.operation] = command.run(client)
        arn = arn or answers["create_backup"]["BackupDetails"]["BackupArn"]
    assert answers["scan"]["Count"] == client.scan(TableName=table, Select="COUNT")["Count"] > 0
    assert "outpost-drill" not in client.list_tables()["TableNames"]


def test_a_key_is_rotated_and_revoked_as_the_page_says(outpost: Outpost) -> None:
    environ = os.environ | {
        "OUTPOST_URL": api_url(outpost.environment),
        "OUTPOST_API_KEY": operator_key(outpost.environment),
    }
    program = str(Path(sys.executable).with_name("outpost"))

    def run(line: str) -> str:
        done = subprocess.run([program, *line.split()[1:]], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    issued = json.loads(run("outpost keys create acme --name drill --scope status --json"))
    for line in block("Rotating keys"):
        run(line.replace("TENANT", "acme").replace("KEY", issued["id"]))

    def listed() -> bool:  # the list's index follows within seconds
        keys = json.loads(run("outpost keys list acme --json"))["items"]
        states = {key["id"]: key["status"] for key in keys if key["name"] == "drill"}
        return states.pop(issued["id"], None) == "revoked" and list(states.values()) == ["active"]

    eventually(listed, what="the old key is revoked, the new one active")
