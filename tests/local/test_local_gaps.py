"""MiniStack still behaves as our extensions assume: a test that fails here says which extension is no longer needed."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROBE = """
import asyncio, inspect, json, os
os.environ |= {"AUTH": "true", "MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0"}
from ministack.core import iam_actions, lambda_runtime
from ministack.services import alb, backup, cloudtrail, cloudwatch, cloudwatch_logs, ecr, ecs, eventbridge, imds
from ministack.services import iam, lambda_svc, s3, ssm, sts
from ministack.services.cloudformation import engine, provisioners, stacks

request = json.dumps({"cluster": "c", "taskDefinition": "job:1"}).encode()
headers = {"x-amz-target": "AmazonEC2ContainerServiceV20141113.RunTask"}
resource = lambda service, body, headers=headers: iam_actions.extract_resource_arn(
    service, "POST", "/", headers, body, {}, "us-east-1", "000000000000")
context = iam_actions.request_tag_context("ecs", "ecs:RunTask", request, {})
ecr._create_repository({"repositoryName": "r"})
images = ecr._describe_images({"repositoryName": "r", "imageIds": [{"imageTag": "missing"}]})
cloudtrail.record_event(service="ssm", event_name="SendCommand", username="u", access_key_id="k", resources=[],
    region="us-east-1", request_id="1", user_agent="a", request_params={"Parameters": "shown"}, method="POST")
for number in range(60):
    cloudtrail.record_event(service="s3", event_name="Filler", username="u", access_key_id="k", resources=[],
        region="us-east-1", request_id=str(number), user_agent="a", request_params={}, method="GET")
secret = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]["create"]("S", {"Name": "s"}, "stack")[0]
print(json.dumps({
    "RunTask is authorised on the cluster": resource("ecs", request).endswith("cluster/c"),
    "ecs:cluster is not filled": "ecs:cluster" not in context,
    "RunTask does not ask for iam:PassRole": "PassRole" not in inspect.getsource(ecs),
    "DescribeRepositories is authorised on *": resource("ecr", b'{"repositoryNames": ["r"]}') == "*",
    "a chained session may last longer than an hour": "chain" not in inspect.getsource(sts).lower(),
    "task credentials are of no role": "ministack-ecs-task-role" in inspect.getsource(imds),
    "no task state change events": "Task State Change" not in inspect.getsource(ecs),
    "StopTask reports exit code 0 at once": "exit_code=0" in inspect.getsource(ecs._stop_task),
    "RunTask ignores clientToken": "clientToken" not in inspect.getsource(ecs._run_task),
    "a new deployment is complete at once": ecs._make_deployment("job:1", 1)["rolloutState"] == "COMPLETED",
    "containers get no user or memory limit": not {"user", "mem_limit"} & set(ecs._build_run_kwargs(
        {"name": "job", "image": "i", "user": "1", "memory": 64}, {}, {}, {}, "n", False, "t", "t", "i", "c")),
    "Lambda processes are not bounded": lambda_runtime._LOCAL_MAX_WORKERS == 0,
    "a missing image tag is an empty list": images[0] == 200 and not json.loads(images[2])["imageDetails"],
    "the emulator takes /health from load balancers": "/health" in __import__("ministack.app").app._HEALTH_PATHS,
    "a stack takes over a log group that exists": ["/taken"] * 2 == [
        provisioners._cwlogs_create("Logs", {"LogGroupName": "/taken"}, "stack")[0] for _ in range(2)],
    "a log group is created without a lock": "lock" not in inspect.getsource(cloudwatch_logs._create_log_group),
    "a task's output is lost without a group": "output is not forwarded" in inspect.getsource(ecs),
    "a function's log waits for lines": "first_line_wait" in inspect.getsource(lambda_runtime.Worker),
    "a function makes its deleted log group again": "_log_groups[group_name] =" in inspect.getsource(
        lambda_svc._emit_lambda_logs),
    "a stack does not wait for its services": not stacks._runs_on_worker_thread("AWS::ECS::Service"),
    "SendCommand is recorded in clear": "shown" in json.dumps(list(cloudtrail._get_event_queue()), default=str),
    "LookupEvents has no second page": b"NextToken" not in cloudtrail._lookup_events({})[2],
    "trails deliver no files": "put_object" not in inspect.getsource(cloudtrail),
    "managed instances are EC2's only": "ec2" in inspect.getsource(ssm._managed_instance_ids),
    "a generated secret's name begins with its stack": provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"][
        "create"]("S", {}, "stack")[0].startswith("stack-"),
    "a secret's Ref is its name": not secret.startswith("arn:"),
    "tables lose their encryption": "SSESpecification" not in inspect.getsource(provisioners._ddb_create),
    "functions lose their network": "VpcConfig" not in inspect.getsource(provisioners._lambda_create),
    "tasks have no EFS": "efsVolumeConfiguration" not in inspect.getsource(ecs),
    "alarms have one metric": "(metric math) is not supported" in inspect.getsource(
        provisioners._cw_metric_alarm_record),
    "alarms do not judge missing data": "TreatMissingData" not in inspect.getsource(cloudwatch._evaluate_alarm),
    "load balancers evaluate no web ACL": "waf" not in inspect.getsource(alb).lower(),
    "load balancers have no metrics": "ApplicationELB" not in inspect.getsource(alb),
    "cloudwatch:namespace is not filled": not iam_actions.request_tag_context(
        "cloudwatch", "cloudwatch:PutMetricData", b"Namespace=n", {}),
    "Application Auto Scaling is not served": "application-autoscaling" not in inspect.getsource(
        __import__("ministack.app").app),
    "exports in use can be dropped": "in use by" not in inspect.getsource(stacks),
    "a condition does not call functions": not engine._evaluate_conditions(
        {"Conditions": {"Empty": {"Fn::Equals": ["", {"Fn::Join": ["", []]}]}}}, {})["Empty"],
    "create-only properties change in place": provisioners._property_recreation(
        "AWS::EC2::SecurityGroup", "GroupDescription") != "Always",
    "a bucket with an object can be deleted by its stack": bool(s3._buckets.update(
        {"full": {"name": "full", "objects": {"kept": {}}}}) or provisioners._delete_resource(
        "AWS::S3::Bucket", "full", {}) or "full" not in s3._buckets),
    "a vault lists no recovery points": b"RecoveryPointArn" not in (backup._create_vault("v", {}) and backup._start_job(
        {"BackupVaultName": "v"}) and backup._list_recovery_points_by_vault("v", {}))[2],
    "a vault with recovery points can be deleted": backup._delete_vault("v")[0] == 200,
    "a bucket's access logs are dropped": "LoggingConfiguration" not in inspect.getsource(provisioners._s3_create),
    "a bucket's encryption is dropped": "BucketEncryption" not in inspect.getsource(provisioners),
    "trails ask for no bucket": cloudtrail._create_trail({"Name": "t", "S3BucketName": "no-such-bucket"})[0] == 200,
    "there are no quotas": "servicequotas" not in __import__("ministack.app").app.SERVICE_HANDLERS,
    "no role is there for ECS": "AWSServiceRoleForECS" not in iam._roles,
    "a role's policies may have any size": iam._roles.update({"large": {"InlinePolicies": {}}}) or iam._put_role_policy(
        {"RoleName": ["large"], "PolicyName": ["p"], "PolicyDocument": [json.dumps({"Version": "2012-10-17",
        "Statement": [{"Sid": "a" * 11000, "Effect": "Allow", "Action": "*", "Resource": "*"}]})]})[0] == 200,
    "unknown properties are ignored": bool(provisioners._RESOURCE_HANDLERS["AWS::SNS::Topic"]["create"](
        "Topic", {"DispalyName": "typo"}, "stack")),
    "a service's update skips an unchanged DesiredCount": "property_map" in inspect.getsource(
        provisioners._ecs_service_update),
    "SSL-only policies see plain HTTP": "x-forwarded-proto" in inspect.getsource(__import__("ministack.app").app.app),
}))
"""

ASSUMPTIONS = [line.split('"')[1] for line in PROBE.splitlines() if line.startswith('    "')]


@pytest.fixture(scope="module")
def ministack() -> dict[str, Any]:
    """What a MiniStack without extensions does."""
    finished = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    answers: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("assumption", ASSUMPTIONS)
def test_ministack_still_needs_the_extension_for(assumption: str, ministack: dict[str, Any]) -> None:
    assert ministack[assumption] is True
