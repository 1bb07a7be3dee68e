"""What of MiniStack our extensions change: `python -m tests.local.probes` prints each gap and whether it is there.

Each probe exercises a behaviour of MiniStack in this process, before any extension is installed; with the argument
`extended`, after all are. A probe that raises has no result, which is reported as its text.
"""

import json
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from ministack import app
from ministack.core import iam_actions, lambda_runtime
from ministack.services import cloudtrail, cloudwatch_logs, ecr, ecs, eventbridge, iam, imds, lambda_svc

from tests.local import stack_probes
from tests.local.probing import PROBES, RUN_TASK, Json, body_of, probe, resource, task_definition

assert stack_probes  # its probes are registered too


@probe("RunTask is authorised on the cluster")
def run_task_on_the_cluster() -> bool:
    return resource("ecs", RUN_TASK, "AmazonEC2ContainerServiceV20141113.RunTask").endswith("cluster/c")


@probe("ecs:cluster is not filled")
def cluster_key() -> bool:
    return "ecs:cluster" not in iam_actions.request_tag_context("ecs", "ecs:RunTask", RUN_TASK, {})


@probe("DescribeRepositories is authorised on *")
def describe_repositories_on_all() -> bool:
    return (
        resource("ecr", b'{"repositoryNames": ["r"]}', "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
        == "*"
    )


@probe("cloudwatch:namespace is not filled")
def namespace_key() -> bool:
    return not iam_actions.request_tag_context("cloudwatch", "cloudwatch:PutMetricData", b"Namespace=n", {})


@probe("task credentials are of no role")
def task_credentials() -> bool:
    return str(imds._ecs_task_credentials_doc()["RoleArn"]).rsplit("/", 1)[1] not in iam._roles


@probe("StopTask reports exit code 0 at once")
def exit_code_at_once() -> bool:
    task_definition("stopped")
    task = body_of(ecs._run_task({"cluster": "c", "taskDefinition": "stopped:1"}))["tasks"][0]["taskArn"]
    stopped = body_of(ecs._stop_task({"cluster": "c", "task": task}))["task"]
    return (stopped["lastStatus"], stopped["containers"][0].get("exitCode")) == ("STOPPED", 0)


@probe("RunTask ignores clientToken")
def client_token() -> bool:
    task_definition("repeated")
    request = {"cluster": "c", "taskDefinition": "repeated:1", "clientToken": "token"}
    arns = {body_of(ecs._ACTION_MAP["RunTask"](dict(request)))["tasks"][0]["taskArn"] for _ in range(2)}
    return len(arns) == 2


@probe("no task state change events")
def task_events() -> bool:
    sent: list[Json] = []
    dispatch = eventbridge._dispatch_event
    eventbridge._dispatch_event = lambda event, *rest, **options: sent.append(event)
    try:
        exit_code_at_once()
    finally:
        eventbridge._dispatch_event = dispatch
    return not sent


@probe("a new deployment is complete at once")
def deployment() -> bool:
    return bool(ecs._make_deployment("job:1", 1)["rolloutState"] == "COMPLETED")


@probe("containers get no user or memory limit")
def container_limits() -> bool:
    container = {"name": "job", "image": "i", "user": "1", "memory": 64}
    options = ecs._build_run_kwargs(container, {}, {}, {}, "n", False, "t", "t", "i", "c")
    return not {"user", "mem_limit"} & set(options)


@probe("tasks have no EFS")
def file_system() -> bool:
    container = {"name": "job", "mountPoints": [{"sourceVolume": "files", "containerPath": "/files"}]}
    volumes = [{"name": "files", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]
    return not ecs._docker_binds_from_taskdef({"volumes": volumes}, container)


@probe("Lambda processes are not bounded")
def lambda_processes() -> bool:
    return bool(lambda_runtime._LOCAL_MAX_WORKERS == 0)


@probe("a function makes its deleted log group again")
def deleted_log_group() -> bool:
    lambda_svc._emit_lambda_logs(
        {"config": {"FunctionName": "gone", "LoggingConfig": {"LogGroup": "/gone"}}}, "1", "x", False, 1
    )
    return "/gone" in cloudwatch_logs._log_groups


@probe("a missing image tag is an empty list")
def missing_image() -> bool:
    ecr._create_repository({"repositoryName": "r"})
    images = ecr._describe_images({"repositoryName": "r", "imageIds": [{"imageTag": "missing"}]})
    return images[0] == 200 and not body_of(images)["imageDetails"]


@probe("the emulator takes /health from load balancers")
def health_path() -> bool:
    return "/health" in app._HEALTH_PATHS


@probe("a log group is created without a lock")
def log_groups_at_once() -> bool:
    """Two threads look for the group before either has created it."""
    both, statuses = threading.Barrier(2), []

    class Meeting(type(cloudwatch_logs._log_groups)):  # type: ignore[misc]
        def __contains__(self, name: object) -> bool:
            found = bool(super().__contains__(name))
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.5)
            return found

    def create_group() -> None:
        statuses.append(cloudwatch_logs._create_log_group({"logGroupName": "/both"})[0])

    groups, cloudwatch_logs._log_groups = cloudwatch_logs._log_groups, Meeting()
    threads = [threading.Thread(target=create_group) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cloudwatch_logs._log_groups = groups
    return statuses == [200, 200]


def record(service: str, event: str, parameters: Json) -> None:
    """Let CloudTrail record a call."""
    cloudtrail.record_event(
        service=service, event_name=event, username="u", access_key_id="k", resources=[], region="us-east-1",
        request_id="1", user_agent="a", request_params=parameters, method="POST",
    )  # fmt: skip


@probe("SendCommand is recorded in clear")
def send_command() -> bool:
    record("ssm", "SendCommand", {"Parameters": "shown"})
    return "shown" in json.dumps(list(cloudtrail._get_event_queue()), default=str)


@probe("LookupEvents has no second page")
def lookup_events() -> bool:
    for number in range(60):
        record("s3", "Filler", {"number": number})
    return "NextToken" not in body_of(cloudtrail._DISPATCH["LookupEvents"]({}))


@probe("trails ask for no bucket")
def trail_bucket() -> bool:
    return bool(cloudtrail._create_trail({"Name": "t", "S3BucketName": "no-such-bucket"})[0] == 200)


@probe("Application Auto Scaling is not served")
def scaling() -> bool:
    return "application-autoscaling" not in app.SERVICE_HANDLERS


@probe("there are no quotas")
def quotas() -> bool:
    return "servicequotas" not in app.SERVICE_HANDLERS


def results() -> Json:
    """Return each gap and whether it is there, or the text of what its probe raised."""
    found: Json = {}
    for gap, function in PROBES.items():
        try:
            found[gap] = function()
        except Exception as error:  # noqa: BLE001 - reported with its gap
            found[gap] = repr(error)
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["extended"]:
        from outpost_local.extensions.install import install_extensions
        from outpost_local.realism import Realism
        from outpost_local.settings import Settings

        install_extensions(Settings(Path(tempfile.mkdtemp()), port=1, realism=Realism.none()))
    print(json.dumps(results()))
