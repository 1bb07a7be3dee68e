"""The seven controls, live: a fresh deployment keeps them; one that is broken by hand fails, and no other."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from outpost.report import ControlsReport
from outpost_client.cli.main import app
from outpost_local.environment import LocalEnvironment
from outpost_ops.config import load
from outpost_ops.controls.catalogue import Control
from outpost_ops.verify.controls import verify_controls
from outpost_ops.verify.deployed import Deployed, NotDeployedError
from tests.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = "0.0.0.0/0"
DEFAULT = "default VPC security group"
Undo = Callable[[], Any]


@pytest.fixture(scope="module")
def live(deployed: LocalEnvironment) -> Iterator[Deployed]:
    """The deployed environment, read with the account's root credentials."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deployed.environ().items():
            patch.setenv(name, value)
        yield Deployed(load(ROOT / "config" / "local.toml"), boto3.Session(region_name="us-east-1"))


def statuses(live: Deployed) -> dict[Control, str]:
    """The status of each control as it is now."""
    return {Control(check.id): check.status for check in verify_controls(live)}


def only(live: Deployed, kind: str) -> str:
    (found,) = live.of_type(f"AWS::{kind}")
    return found


def group(live: Deployed, description: str) -> str:
    filters = [{"Name": "vpc-id", "Values": live.of_type("AWS::EC2::VPC")}]
    groups = live.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    (found,) = (each["GroupId"] for each in groups if each["Description"] == description)
    return str(found)


def admits(description: str, **source: str) -> Callable[[Deployed], Undo]:
    """Break control 5: a group admits somebody else; a group's description as the source stands for its id."""

    def break_it(live: Deployed) -> Undo:
        ec2 = live.client("ec2")
        permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}
        if "group" in source:
            permission["UserIdGroupPairs"] = [{"GroupId": group(live, source["group"])}]
        else:
            permission["IpRanges"] = [{"CidrIp": source["network"]}]
        rule = {"GroupId": group(live, description), "IpPermissions": [permission]}
        ec2.authorize_security_group_ingress(**rule)
        return lambda: ec2.revoke_security_group_ingress(**rule)

    return break_it


def stop_logging(live: Deployed) -> Undo:
    trail = only(live, "CloudTrail::Trail")
    live.client("cloudtrail").stop_logging(Name=trail)
    return lambda: live.client("cloudtrail").start_logging(Name=trail)


def trail_without(switch: str) -> Callable[[Deployed], Undo]:
    def break_it(live: Deployed) -> Undo:
        trail, cloudtrail = only(live, "CloudTrail::Trail"), live.client("cloudtrail")
        cloudtrail.update_trail(Name=trail, **{switch: False})
        return lambda: cloudtrail.update_trail(Name=trail, **{switch: True})

    return break_it


def lock_the_trail_out(live: Deployed) -> Undo:
    s3 = live.client("s3")
    (trail,) = live.client("cloudtrail").describe_trails()["trailList"]
    bucket = trail["S3BucketName"]
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    return lambda: s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def kms_without_bucket_key(live: Deployed) -> Undo:
    s3, bucket = live.client("s3"), live.of_type("AWS::S3::Bucket")[0]
    before = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": False}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return lambda: s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=before)


def one_block_flag_off(live: Deployed) -> Undo:
    s3, bucket = live.client("s3"), live.of_type("AWS::S3::Bucket")[-1]
    before = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**before, "RestrictPublicBuckets": False})
    return lambda: s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=before)


def no_block(live: Deployed) -> Undo:
    s3, bucket = live.client("s3"), live.of_type("AWS::S3::Bucket")[0]
    before = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.delete_public_access_block(Bucket=bucket)
    return lambda: s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=before)


def flow_log(traffic: str | None) -> Callable[[Deployed], Undo]:
    """Break control 4: delete the VPC's flow log, or put one of other traffic in its place."""

    def break_it(live: Deployed) -> Undo:
        ec2, vpc = live.client("ec2"), only(live, "EC2::VPC")
        (log,) = ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]
        where = {"ResourceType": "VPC", "ResourceIds": [vpc], "LogGroupName": log["LogDestination"]}
        ec2.delete_flow_logs(FlowLogIds=[log["FlowLogId"]])
        made = ec2.create_flow_logs(TrafficType=traffic, **where)["FlowLogIds"] if traffic else []

        def undo() -> None:
            if made:
                ec2.delete_flow_logs(FlowLogIds=made)
            ec2.create_flow_logs(TrafficType="ALL", **where)

        return undo

    return break_it


def public_address_of_the_service(live: Deployed) -> Undo:
    ecs = live.client("ecs")
    (service,) = live.services()
    before = service["networkConfiguration"]["awsvpcConfiguration"]

    def update(assign: str) -> None:
        network = {"awsvpcConfiguration": {**before, "assignPublicIp": assign}}
        names = {"cluster": service["clusterArn"], "service": service["serviceName"]}
        ecs.update_service(**names, networkConfiguration=network)

    update("ENABLED")
    return lambda: update("DISABLED")


def route_to_the_internet(live: Deployed) -> Undo:
    ec2 = live.client("ec2")
    (service,) = live.services()
    subnet = service["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0]
    tables = ec2.describe_route_tables()["RouteTables"]
    (table,) = (t["RouteTableId"] for t in tables if any(link.get("SubnetId") == subnet for link in t["Associations"]))
    route = {"RouteTableId": table, "DestinationCidrBlock": ANYWHERE}
    ec2.create_route(**route, GatewayId=only(live, "EC2::InternetGateway"))
    return lambda: ec2.delete_route(**route)


def task_in_a_public_subnet(live: Deployed) -> Undo:
    """Break control 6 by a task of the control plane: the broker would refuse a worker that nobody launched."""
    ecs, cluster = live.client("ecs"), only(live, "ECS::Cluster")
    (service,) = live.services()
    public = [{"Name": "tag:aws-cdk:subnet-type", "Values": ["Public"]}]
    network = {
        "subnets": [live.client("ec2").describe_subnets(Filters=public)["Subnets"][0]["SubnetId"]],
        "securityGroups": [group(live, "Outpost control plane")],
    }
    (task,) = ecs.run_task(
        cluster=cluster,
        taskDefinition=service["taskDefinition"],
        networkConfiguration={"awsvpcConfiguration": {**network, "assignPublicIp": "ENABLED"}},
    )["tasks"]
    eventually(
        lambda: any(each["taskArn"] == task["taskArn"] for each in live.running_tasks()), what="the task is listed"
    )
    return lambda: ecs.stop_task(cluster=cluster, task=task["taskArn"])


def recovery_off(live: Deployed) -> Undo:
    dynamodb, table = live.client("dynamodb"), live.of_type("AWS::DynamoDB::Table")[0]

    def switch(on: bool) -> None:
        dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
        )

    switch(False)
    return lambda: switch(True)


def table_with_the_services_own_key(live: Deployed) -> Undo:
    dynamodb, table = live.client("dynamodb"), live.of_type("AWS::DynamoDB::Table")[-1]

    def switch(**specification: Any) -> None:  # noqa: ANN401 - of boto3
        dynamodb.update_table(TableName=table, SSESpecification=specification)
        dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})

    switch(Enabled=False)
    return lambda: switch(Enabled=True, SSEType="KMS")


BREAKS = [
    (Control.TRAIL, "stopped", stop_logging),
    (Control.TRAIL, "without validation", trail_without("EnableLogFileValidation")),
    (Control.TRAIL, "of one region", trail_without("IsMultiRegionTrail")),
    (Control.TRAIL, "locked out of its bucket", lock_the_trail_out),
    (Control.ENCRYPTION, "KMS without a bucket key", kms_without_bucket_key),
    (Control.PUBLIC_ACCESS, "one flag off", one_block_flag_off),
    (Control.PUBLIC_ACCESS, "no block", no_block),
    (Control.FLOW_LOGS, "deleted", flow_log(None)),
    (Control.FLOW_LOGS, "of rejected traffic only", flow_log("REJECT")),
    (Control.SECURITY_GROUPS, "balancer to the world", admits("Outpost load balancer", network=ANYWHERE)),
    (Control.SECURITY_GROUPS, "service to the VPC", admits("Outpost control plane", network="10.60.0.0/16")),
    (Control.SECURITY_GROUPS, "service to workers", admits("Outpost control plane", group="Outpost workers")),
    (Control.SECURITY_GROUPS, "workers to the balancer", admits("Outpost workers", group="Outpost load balancer")),
    (
        Control.SECURITY_GROUPS,
        "files to the service",
        admits("Outpost workspaces file system", group="Outpost control plane"),
    ),
    (Control.SECURITY_GROUPS, "default group to the world", admits(DEFAULT, network=ANYWHERE)),
    (Control.SECURITY_GROUPS, "default group to its members", admits(DEFAULT, group=DEFAULT)),
    (Control.PRIVATE_TASKS, "service with public addresses", public_address_of_the_service),
    (Control.PRIVATE_TASKS, "private subnet with a way in", route_to_the_internet),
    (Control.PRIVATE_TASKS, "task in a public subnet", task_in_a_public_subnet),
    (Control.TABLES, "no recovery", recovery_off),
    (Control.TABLES, "another key", table_with_the_services_own_key),
]


@contextmanager
def broken(live: Deployed, break_it: Callable[[Deployed], Undo]) -> Iterator[None]:
    undo = break_it(live)
    try:
        yield
    finally:
        undo()


def test_a_fresh_deployment_keeps_every_control(live: Deployed) -> None:
    assert statuses(live) == dict.fromkeys(Control, "pass")


@pytest.mark.parametrize(("control", "break_it"), [pytest.param(c, b, id=f"{c}: {how}") for c, how, b in BREAKS])
def test_a_control_broken_by_hand_fails_and_no_other(
    live: Deployed, control: Control, break_it: Callable[[Deployed], Undo]
) -> None:
    expected = dict.fromkeys(Control, "pass") | {control: "fail"}
    with broken(live, break_it):
        # A list of tasks is eventually consistent: a read may be older than the one before it.
        eventually(lambda: statuses(live) == expected, what=f"only {control} fails")


def test_every_control_is_broken_by_hand() -> None:
    assert {control for control, _, _ in BREAKS} == set(Control)


def test_the_command_prints_a_table_writes_a_report_and_ends_with_1_on_a_failure(
    live: Deployed, tmp_path: Path
) -> None:
    command = ["verify", "controls", "--env", "local", "--report", str(tmp_path / "controls.json")]

    good = CliRunner().invoke(app, command)
    with broken(live, no_block):
        bad = CliRunner().invoke(app, command)

    report = ControlsReport.model_validate_json((tmp_path / "controls.json").read_text())
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert good.stdout.count("pass") == 7
    assert [check.id for check in report.checks if check.status == "fail"] == [Control.PUBLIC_ACCESS]


def test_the_command_prints_json(live: Deployed) -> None:
    printed = CliRunner().invoke(app, ["verify", "controls", "--env", "local", "--json"])

    assert json.loads(printed.stdout)["status"] == "pass"


def test_what_cannot_be_read_is_no_pass(live: Deployed) -> None:
    nobody = Deployed(live.config, boto3.Session("AKIDNOBODY", "secret", region_name="us-east-1"))
    nobody.__dict__["_resources"] = live._resources

    assert {check.status for check in verify_controls(nobody)} == {"inconclusive"}


def test_an_environment_that_is_not_deployed_is_said_to_be_so(live: Deployed) -> None:
    with pytest.raises(NotDeployedError, match="make deploy ENV=dev"):
        verify_controls(Deployed(load(ROOT / "config" / "dev.toml"), live.session))
