"""`make bootstrap` prepares the account and region that a configuration names, and no other account."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outpost_local.cdk import find_cli
from outpost_local.environment import LocalEnvironment
from outpost_ops.doctor.account import BOOTSTRAP
from outpost_ops.node import find_node

ROOT = Path(__file__).resolve().parents[2]


def bootstrap(aws: LocalEnvironment, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what the Makefile's target runs; the CLI keeps its files in `folder`."""
    path = os.pathsep.join([str(find_cli().parent), str(find_node().parent), os.environ["PATH"]])
    environ = os.environ | aws.environ() | {"PATH": path, "CDK_HOME": str(folder), "CDK_DISABLE_CLI_TELEMETRY": "true"}
    argv = [sys.executable, "-m", "tools.bootstrap", name]
    return subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)


def test_the_region_of_the_configuration_is_bootstrapped(aws: LocalEnvironment, tmp_path: Path) -> None:
    done = bootstrap(aws, "local", tmp_path)

    assert done.returncode == 0, done.stderr
    ssm, iam = aws.client("ssm"), aws.client("iam")
    assert int(ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"]) >= 6
    role = iam.get_role(RoleName="cdk-hnb659fds-deploy-role-000000000000-us-east-1")["Role"]
    principals = [each["Principal"] for each in role["AssumeRolePolicyDocument"]["Statement"]]
    assert principals == [{"AWS": "000000000000"}] * len(principals)


def test_another_account_is_not_bootstrapped(aws: LocalEnvironment, tmp_path: Path) -> None:
    done = bootstrap(aws, "prod", tmp_path)

    assert done.returncode == 1
    assert "the credentials are of account 000000000000, config/prod.toml names 333333333333" in done.stderr


@pytest.mark.parametrize("tool", [("tools.bootstrap",), ("tools.release_resources", "check")])
@pytest.mark.parametrize(
    ("environment", "message"),
    [("dev", "export AWS_PROFILE=<a profile of 111111111111>"), ("nosuch", "environments here: dev, local")],
)
def test_a_tool_without_credentials_or_configuration_ends_with_the_remedy(
    tool: tuple[str, ...], environment: str, message: str, tmp_path: Path
) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    argv = [sys.executable, "-m", *tool, environment]
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
