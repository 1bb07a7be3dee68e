"""What of MiniStack our extensions change: `python -m tests.local.probes` prints each gap and whether it is there.

Each probe exercises a behaviour of MiniStack in this process, before any extension is installed; with the argument
`extended`, after all are. With `reasons` the reasons of all patches and their targets are printed, with
`order` the extensions and what they declare. A probe that raises has no result, which is reported as its text.
"""

import asyncio
import json
import logging
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from ministack import app
from ministack.core import iam_actions, lambda_runtime
from ministack.services import (
    cloudtrail,
    cloudwatch_logs,
    ecr,
    ecs,
    eventbridge,
    iam,
    imds,
    kms,
    lambda_svc,
    secretsmanager,
    sqs,
    ssm,
)

from outpost_local.extensions.ecs import task_lifecycle
from outpost_local.realism import Realism
from outpost_local.settings import Settings
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
        task_lifecycle.changes.join()
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
    headers = {"host": "balancer.us-east-1.elb.amazonaws.com"}
    return asyncio.run(app._handle_pre_body_request("GET", "/health", headers, {}, "1")) is not None


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


@probe("kms:SigningAlgorithm is not filled")
def signing_key() -> bool:
    body = json.dumps({"KeyId": "k", "SigningAlgorithm": "ECDSA_SHA_256"}).encode()
    return "kms:SigningAlgorithm" not in iam_actions.request_tag_context("kms", "kms:Sign", body, {})


@probe("s3:if-none-match is not filled")
def conditional_write_key() -> bool:
    return "s3:if-none-match" not in iam_actions.s3_service_context("s3:PutObject", {}, "/b/k", {"if-none-match": "*"})


@probe("refused calls are not logged")
def refused_calls() -> bool:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    logging.getLogger().addHandler(handler)
    iam_actions.access_denied_response("s3", "s3:GetObject", "arn:aws:iam::000000000000:user/u", "1")
    logging.getLogger().removeHandler(handler)
    return not records


@probe("a log group takes any key")
def key_of_log_group() -> bool:
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*"}
    policy = {"Version": "2012-10-17", "Statement": [statement | {"Resource": "*"}]}
    key = body_of(kms._create_key({"Policy": json.dumps(policy)}))["KeyMetadata"]["Arn"]
    return bool(cloudwatch_logs._create_log_group({"logGroupName": "/sealed", "kmsKeyId": key})[0] == 200)


@probe("log batches may have any size")
def log_batches() -> bool:
    stream = {"logGroupName": "/many", "logStreamName": "s"}
    cloudwatch_logs._create_log_group(stream)
    cloudwatch_logs._create_log_stream(stream)
    events = [{"timestamp": int(time.time() * 1000), "message": "m"}] * 10_001
    return bool(cloudwatch_logs._put_log_events(stream | {"logEvents": events})[0] == 200)


@probe("output is not forwarded without a log group")
def missing_log_group() -> bool:
    """A container starts although its driver has no log group to write to."""
    driver = {"awslogs-group": "/none", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    definition = {"name": "job", "image": "i", "logConfiguration": {"logDriver": "awslogs", "options": driver}}
    container = SimpleNamespace(id="1", logs=lambda **_options: iter(()))
    client = SimpleNamespace(containers=SimpleNamespace(run=lambda *_arguments, **_options: container))
    options = {"image": "i", "labels": {"com.amazonaws.ecs.task-arn": "arn/task"}}
    try:
        ecs._run_docker_container(client, definition, options)
    except ValueError:
        return False
    return True


@probe("lines are waited for")
def late_line() -> bool:
    """A line that a process wrote, and that no thread has read yet, is not in the log of its invocation."""
    worker = object.__new__(lambda_runtime._worker_class_for({"Runtime": "python3.13"}))
    worker._stderr_queue = queue.Queue()
    worker._proc = subprocess.Popen(["/bin/sh", "-c", "echo late >&2"], stderr=subprocess.PIPE, text=True)
    worker._proc.wait()
    return "late" not in worker._drain_stderr_bounded()


@probe("an ARM64 image of Amazon Linux is unknown")
def arm_image() -> bool:
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    return ssm._public_parameter(name) is None


@probe("there are no hybrid instances")
def hybrid_instances() -> bool:
    return not body_of(ssm._describe_instance_information({}))["InstanceInformationList"]


@probe("the services' clock cannot be moved")
def clock() -> bool:
    return bool(cloudtrail.time.time() < time.time() + 1000)


@probe("a name that exists is taken over")
def recent_queue() -> bool:
    sqs._HANDLERS["CreateQueue"]({"QueueName": "again"}, "")
    sqs._HANDLERS["DeleteQueue"]({"QueueUrl": sqs._queue_name_to_url["again"]}, "")
    try:
        return bool(sqs._HANDLERS["CreateQueue"]({"QueueName": "again"}, ""))
    except sqs._Err:
        return False


@probe("a secret without a value has a version")
def empty_secret() -> bool:
    return "VersionId" in body_of(secretsmanager._create_secret({"Name": "empty"}))


@probe("labels of secrets do not move")
def labels() -> bool:
    secretsmanager._create_secret({"Name": "labelled", "SecretString": "1"})
    put = {"SecretId": "labelled", "VersionStages": ["mark"], "SecretString": "2"}
    first, _ = (body_of(secretsmanager._put_secret_value(put))["VersionId"] for _ in range(2))
    return "mark" in secretsmanager._secrets["labelled"]["Versions"].get(first, {}).get("Stages", [])


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


def settings() -> Settings:
    """Return the settings of an instance with an engine of containers, a hybrid instance and a clock that is ahead."""
    folder = Path(tempfile.mkdtemp())
    (folder / "hosts" / "mi-1").mkdir(parents=True)
    (folder / "clock").write_text("3600")
    return Settings(folder, port=1, engine="docker", realism=Realism.none())


def main(mode: str) -> Json:
    """Return the results with all extensions (`extended`), the `reasons` with their targets, or the `order`."""
    from outpost_local.extensions.install import all_extensions, in_order, install, patches_of  # noqa: PLC0415

    named = {name: import_module(f"outpost_local.extensions.{name}") for name in all_extensions()}
    if mode == "extended":
        install(named, settings())
        return results()
    if mode == "order":
        names = {id(extension): name for name, extension in named.items()}
        return {names[id(each)]: getattr(each, "AFTER", ()) for each in in_order(named)}
    found: Json = {}
    for realism in (Realism(), Realism(new_account=True)):
        for extension in named.values():
            for patch in patches_of(extension, replace(settings(), realism=realism)):
                found.setdefault(patch.reason, []).append(patch.target)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]) if sys.argv[1:] else results()))
