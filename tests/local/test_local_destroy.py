"""`make destroy` on the embedded AWS: what CloudFormation would refuse to delete is stopped, emptied or deleted before.

The stack here is one of an environment: it is found by its name, as after a deploy.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from outpost.names import tenant_secrets_prefix
from outpost_local.environment import LocalEnvironment
from outpost_ops.config import load
from outpost_ops.verify.deployed import Deployed
from tests.local.accounts import allow, create_role
from tests.local.stacks import Stack, resource
from tools import release_resources
from tools.release_resources import delete_recovery_points, empty_buckets, main, release, stop_access_logs, stop_logging

ROOT = Path(__file__).resolve().parents[2]
STAGING = load(ROOT / "config" / "staging.toml")
VERSIONED = {"VersioningConfiguration": {"Status": "Enabled"}}
READ_ONLY = allow("backup:List*", "cloudformation:*", "ecs:List*", "s3:Get*", "s3:List*", "secretsmanager:List*")
"""What the managed policy ReadOnlyAccess gives of it."""


def no_pause(_seconds: float) -> None:
    """The embedded AWS needs no time to delete a recovery point, only another request."""


def document(bucket: str) -> dict[str, Any]:
    """The bucket policy that CloudTrail asks for, of a bucket of the template."""
    common = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    files = {"Fn::Join": ["", [arn, "/AWSLogs/000000000000/*"]]}
    statements = [
        {**common, "Action": "s3:GetBucketAcl", "Resource": arn},
        {**common, "Action": "s3:PutObject", "Resource": files},
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def logging_to_logs(prefix: str) -> dict[str, Any]:
    return {"LoggingConfiguration": {"DestinationBucketName": {"Ref": "AccessLogs"}, "LogFilePrefix": prefix}}


RESOURCES = {
    "Vault": resource("AWS::Backup::BackupVault", BackupVaultName={"Fn::Sub": "${AWS::StackName}-vault"}),
    "AccessLogs": resource("AWS::S3::Bucket"),
    "Artifacts": resource("AWS::S3::Bucket", **VERSIONED, **logging_to_logs("artifacts/")),
    "TrailBucket": resource("AWS::S3::Bucket", **VERSIONED, **logging_to_logs("trail/")),
    "Policy": resource("AWS::S3::BucketPolicy", Bucket={"Ref": "TrailBucket"}, PolicyDocument=document("TrailBucket")),
    "Trail": resource("AWS::CloudTrail::Trail", S3BucketName={"Ref": "TrailBucket"}, IsLogging=True)
    | {"DependsOn": "Policy"},
    "Cluster": resource("AWS::ECS::Cluster"),
}


class Used:
    """A deployed stack of an environment, with everything in it that its deletion meets."""

    def __init__(self, aws: LocalEnvironment, stack: Stack) -> None:
        self.aws, self.stack = aws, stack
        self.config = STAGING.model_copy(update={"name": f"t{uuid4().hex[:8]}"})
        stack.name = f"Outpost-{self.config.name}-Data"
        self.ids = stack.deploy(RESOURCES)
        s3 = aws.client("s3")
        for body in (b"first", b"second"):
            s3.put_object(Bucket=self.ids["Artifacts"], Key="tenants/1", Body=body)
        s3.delete_object(Bucket=self.ids["Artifacts"], Key="tenants/1")
        aws.client("cloudtrail").get_trail_status(Name=self.ids["Trail"])  # delivers
        self.back_up(create_role(aws))
        self.tenant_secret = f"{tenant_secrets_prefix(self.config.name)}demo/TOKEN"
        aws.client("secretsmanager").create_secret(Name=self.tenant_secret, SecretString="secret")

    def back_up(self, role: str) -> str:
        """Copy a table into the vault; return the ARN of the recovery point."""
        table = "arn:aws:dynamodb:us-east-1:000000000000:table/table"
        started = self.aws.client("backup").start_backup_job(
            BackupVaultName=self.ids["Vault"], ResourceArn=table, IamRoleArn=role
        )
        return str(started["RecoveryPointArn"])

    def buckets(self) -> list[str]:
        return [self.ids[name] for name in ("AccessLogs", "Artifacts", "TrailBucket")]

    def deployed(self, credentials: dict[str, str] | None = None) -> Deployed:
        """The environment as `make destroy` sees it, by default with every permission."""
        if credentials is None:
            return Deployed(self.config, boto3.Session())
        key, secret, token = (credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        return Deployed(self.config, boto3.Session(key, secret, token))


def without(action: str, statement: dict[str, Any]) -> dict[str, Any]:
    """The statement without an action; one that has no other allows what nobody asks for."""
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return {**statement, "Action": [each for each in actions if each != action] or ["sts:GetCallerIdentity"]}


@pytest.fixture
def used(aws: LocalEnvironment, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    for name, value in aws.environ().items():
        monkeypatch.setenv(name, value)
    found = Used(aws, stack)
    yield found
    release(Deployed(found.config, boto3.Session()), no_pause)


def test_a_stack_in_use_is_not_deleted(used: Used) -> None:
    assert used.stack.try_delete() == "DELETE_FAILED"
    for reason in ("contains recovery points", "The bucket you tried to delete is not empty"):
        assert reason in used.stack.failures()

    release(used.deployed(), no_pause)  # as `make destroy` does when a stack stays

    assert used.stack.try_delete() is None, used.stack.failures()


def test_a_stack_in_use_is_deleted_after_its_release(used: Used) -> None:
    done = release(used.deployed(), no_pause)

    assert re.match(r"0 tasks stopped, 1 recovery points and 1 secrets of tenants deleted, \d+ object versions", done)
    assert used.stack.try_delete() is None, used.stack.failures()
    secrets = used.aws.client("secretsmanager")
    secrets.create_secret(Name=used.tenant_secret, SecretString="of the next environment of this name")
    assert release(used.deployed(), no_pause) == "no stack is left"
    secrets.delete_secret(SecretId=used.tenant_secret, ForceDeleteWithoutRecovery=True)


def test_no_bucket_logs_any_more_when_the_bucket_of_access_logs_is_emptied_as_the_last(used: Used) -> None:
    deployed, emptied = used.deployed(), list[str]()
    s3 = deployed.client("s3")
    s3.put_object(Bucket=used.ids["AccessLogs"], Key="trail/1", Body=b"")

    def note(params: dict[str, Any], **_: object) -> None:
        logged = [bucket for bucket in used.buckets() if "LoggingEnabled" in s3.get_bucket_logging(Bucket=bucket)]
        assert not logged
        emptied.append(params["Bucket"])

    s3.meta.events.register("provide-client-params.s3.DeleteObjects", note)
    release(deployed, no_pause)

    assert set(emptied) == set(used.buckets())
    assert emptied[-1] == used.ids["AccessLogs"]


def test_the_role_of_the_acceptance_may_release_but_not_with_less(used: Used) -> None:
    page = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
    page = page.replace("ACCOUNT", "000000000000").replace("REGION", "us-east-1")
    documents = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    statements = documents[-1]["Statement"]

    def attempt(allowed: list[dict[str, Any]]) -> str:
        role = create_role(used.aws, READ_ONLY, *allowed)
        response = used.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="acceptance")
        return release(used.deployed(response["Credentials"]), no_pause)

    for action in (
        *("cloudtrail:StopLogging", "s3:PutBucketLogging", "backup:DeleteRecoveryPoint"),
        *("secretsmanager:DeleteSecret", "s3:DeleteObjectVersion"),
    ):
        with pytest.raises((ClientError, SystemExit), match=r"Access ?Denied"):
            attempt([without(action, statement) for statement in statements])
    attempt(statements)

    assert used.stack.try_delete() is None, used.stack.failures()


def test_a_trail_that_still_logs_fills_its_bucket_again(used: Used) -> None:
    s3, trail = used.aws.client("s3"), used.ids["Trail"]
    empty_buckets(s3, [used.ids["TrailBucket"]])
    assert s3.list_objects_v2(Bucket=used.ids["TrailBucket"])["KeyCount"] == 1

    stop_logging(used.aws.client("cloudtrail"), [trail])
    empty_buckets(s3, [used.ids["TrailBucket"]])
    assert s3.list_objects_v2(Bucket=used.ids["TrailBucket"])["KeyCount"] == 0


def test_a_bucket_with_access_logs_fills_their_bucket_while_it_is_emptied(used: Used) -> None:
    s3, logs = used.aws.client("s3"), used.ids["AccessLogs"]
    empty_buckets(s3, [logs, used.ids["Artifacts"]])
    (record,) = s3.list_objects_v2(Bucket=logs)["Contents"]
    assert record["Key"].startswith("artifacts/")

    s3.put_object(Bucket=used.ids["Artifacts"], Key="tenants/2", Body=b"")
    assert stop_access_logs(s3, used.buckets()) == {logs}
    empty_buckets(s3, [logs, used.ids["Artifacts"]])
    assert s3.list_objects_v2(Bucket=logs)["KeyCount"] == 0


def test_a_vault_is_deleted_only_when_its_recovery_points_are_gone(used: Used) -> None:
    backup, vault = used.aws.client("backup"), used.ids["Vault"]
    with pytest.raises(ClientError, match="contains recovery points"):
        backup.delete_backup_vault(BackupVaultName=vault)

    (point,) = backup.list_recovery_points_by_backup_vault(BackupVaultName=vault)["RecoveryPoints"]
    backup.delete_recovery_point(BackupVaultName=vault, RecoveryPointArn=point["RecoveryPointArn"])
    with pytest.raises(ClientError, match="contains recovery points"):
        backup.delete_backup_vault(BackupVaultName=vault)

    assert delete_recovery_points(backup, [vault], no_pause) == 0
    backup.delete_backup_vault(BackupVaultName=vault)
    backup.create_backup_vault(BackupVaultName=vault)


def test_a_recovery_point_that_stays_ends_the_release_with_its_name(
    used: Used, aws: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, role = aws.client("backup"), create_role(aws)
    name = role.rpartition("/")[2]
    point = used.back_up(role)
    aws.client("iam").delete_role_policy(RoleName=name, PolicyName="only")
    aws.client("iam").delete_role(RoleName=name)
    monkeypatch.setattr(release_resources, "_POLLS", 4)

    with pytest.raises(SystemExit, match=f"{re.escape(point)} is EXPIRED"):
        delete_recovery_points(backup, [used.ids["Vault"]], no_pause)

    aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    assert delete_recovery_points(backup, [used.ids["Vault"]], no_pause) == 1


def test_an_environment_whose_data_is_kept_is_not_released() -> None:
    for step in ("check", "release"):
        with pytest.raises(SystemExit, match='removal is "retain"'):
            main(step, "prod")


def test_credentials_of_another_account_release_nothing(aws: LocalEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environ().items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match="the credentials are of account 000000000000"):
        main("check", "staging")


def test_make_destroy_checks_before_it_deletes_and_releases_again_when_a_stack_stays() -> None:
    make = shutil.which("make")
    assert make
    argv = [make, "--dry-run", "destroy", "ENV=staging"]
    printed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    steps = re.findall(r"release_resources\.py (\w+) staging|(cdk) .*?destroy", printed)

    assert ["".join(step) for step in steps] == ["check", "cdk", "release", "cdk", "release", "cdk"]
