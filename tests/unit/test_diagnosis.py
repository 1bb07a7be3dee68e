"""Each kind of end is told apart, from events in the form in which ECS sends them."""
# ruff: noqa: E501 - words of ECS are quoted as they come

import copy
from typing import Any

import pytest

from outpost.domain.artifacts import tail_of
from outpost.domain.diagnosis import TaskStop, diagnose, launch_refused
from outpost.domain.dispatch import LOG_TAIL_BYTES
from outpost.domain.reasons import ReasonCode

# The `detail` of an "ECS Task State Change" event of a Fargate task, shortened by what nothing reads.
EVENT: dict[str, Any] = {
    "attachments": [{"id": "7a4b", "type": "eni", "status": "DELETED", "details": []}],
    "availabilityZone": "us-east-1a",
    "capacityProviderName": "FARGATE_SPOT",
    "clusterArn": "arn:aws:ecs:us-east-1:111111111111:cluster/outpost",
    "connectivity": "CONNECTED",
    "containers": [
        {
            "containerArn": "arn:aws:ecs:us-east-1:111111111111:container/outpost/0c5e/9d1f",
            "lastStatus": "STOPPED",
            "name": "worker",
            "image": "111111111111.dkr.ecr.us-east-1.amazonaws.com/assets:3b2f",
            "taskArn": "arn:aws:ecs:us-east-1:111111111111:task/outpost/0c5e",
            "cpu": "0",
        }
    ],
    "cpu": "256",
    "createdAt": "2026-11-22T17:00:00.000Z",
    "desiredStatus": "STOPPED",
    "group": "family:outpost-dev-shell",
    "lastStatus": "STOPPED",
    "launchType": "FARGATE",
    "memory": "512",
    "stoppedAt": "2026-11-22T17:01:00.000Z",
    "taskArn": "arn:aws:ecs:us-east-1:111111111111:task/outpost/0c5e",
    "taskDefinitionArn": "arn:aws:ecs:us-east-1:111111111111:task-definition/outpost-dev-shell:7",
    "version": 5,
}
EXITED = "Essential container in task exited"
FAILED = "TaskFailedToStart"
REGISTRY = "111111111111.dkr.ecr.us-east-1.amazonaws.com/assets:3b2f"


def event(
    stop_code: str, stopped_reason: str = EXITED, exit_code: int | None = None, container: str | None = None
) -> dict[str, Any]:
    detail = copy.deepcopy(EVENT) | {"stopCode": stop_code, "stoppedReason": stopped_reason}
    detail["containers"][0] |= {"exitCode": exit_code} if exit_code is not None else {}
    detail["containers"][0] |= {"reason": container} if container else {}
    return detail


Case = tuple[dict[str, Any], ReasonCode, str]
LOST, PULL, START = ReasonCode.WORKER_LOST, ReasonCode.IMAGE_PULL_FAILED, ReasonCode.WORKER_START_FAILED
UNUSABLE, CAPACITY = ReasonCode.IMAGE_UNUSABLE, ReasonCode.CAPACITY_UNAVAILABLE
CASES: dict[str, Case] = {
    "out of memory": (
        event(
            "EssentialContainerExited",
            exit_code=137,
            container="OutOfMemoryError: Container killed due to memory usage",
        ),
        ReasonCode.OUT_OF_MEMORY,
        "more memory than it has",
    ),
    "image not there": (
        event(
            FAILED,
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {REGISTRY}: "
            f"{REGISTRY}: not found",
        ),
        PULL,
        "not in the registry",
    ),
    "image forbidden": (
        event(
            FAILED,
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {REGISTRY}: "
            "pulling from host failed with status code [manifests 3b2f]: 403 Forbidden",
        ),
        PULL,
        "registry refused",
    ),
    "registry out of reach": (
        event(
            FAILED,
            "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: httpReadSeeker: failed open: "
            "failed to do request: Get https://prod-us-east-1-starport-layer-bucket.s3.amazonaws.com: dial tcp "
            "52.216.1.1:443: i/o timeout",
        ),
        PULL,
        "could not be reached",
    ),
    "registry asked too often": (
        event(
            FAILED,
            "CannotPullContainerError: inspect image has been retried 5 time(s): httpReaderSeeker: failed open: unexpected "
            "status code: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.",
        ),
        PULL,
        "asked too often",
    ),
    "image too large": (
        event(
            FAILED,
            "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer: no space left on device",
        ),
        ReasonCode.DISK_FULL,
        "does not fit",
    ),
    "image of another architecture": (
        event(
            FAILED,
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/arm64'",
        ),
        UNUSABLE,
        "another CPU architecture",
    ),
    "entry point of another architecture": (
        event(FAILED, container="CannotStartContainerError: exec /opt/outpost/bin/python: exec format error"),
        UNUSABLE,
        "another CPU architecture",
    ),
    "image, other": (
        event(FAILED, "CannotPullImageManifestError: Error response from daemon: something new"),
        PULL,
        "could not be pulled",
    ),
    "file system": (
        event(
            FAILED,
            "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: "
            "mount.nfs4: Connection timed out : unsuccessful EFS utils command execution; code: 32",
        ),
        START,
        "could not be mounted",
    ),
    "secrets": (
        event(
            FAILED,
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
            "unable to retrieve secret from asm: There is a connection issue between the task and AWS Secrets Manager.",
        ),
        START,
        "secrets could not be read",
    ),
    "log": (
        event(
            FAILED,
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
            "to create Cloudwatch log stream: ResourceNotFoundException: The specified group does not exist.",
        ),
        START,
        "log could not be opened",
    ),
    "surroundings, other": (
        event(FAILED, "ResourceInitializationError: failed to download env files: something new"),
        START,
        "surroundings",
    ),
    "no entry point": (
        event(
            FAILED,
            container="CannotStartContainerError: runc create failed: unable to start container process: exec: "
            '"/opt/outpost/bin/python": stat /opt/outpost/bin/python: no such file or directory',
        ),
        UNUSABLE,
        "entry point cannot be run",
    ),
    "container not created": (
        event(FAILED, container="CannotCreateContainerError: API error (500): something new"),
        START,
        "could not be started",
    ),
    "runtime silent": (
        event(FAILED, container="ContainerRuntimeTimeoutError: Could not transition to running; timed out after 1m30s"),
        START,
        "runtime did not respond",
    ),
    "quota": (
        event(FAILED, "You've reached the limit on the number of vCPUs you can run concurrently"),
        CAPACITY,
        "limit on the number of vCPUs",
    ),
    "no address": (
        event(
            FAILED,
            "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': "
            "InsufficientFreeAddressesInSubnet",
        ),
        CAPACITY,
        "no free address",
    ),
    "no capacity": (
        event(
            FAILED, "Capacity is unavailable at this time. Please try again later or in a different availability zone"
        ),
        CAPACITY,
        "No worker could be launched",
    ),
    "no interface": (
        event(FAILED, "Timeout waiting for network interface provisioning to complete."),
        START,
        "in time",
    ),
    "spot": (event("SpotInterruption", "Your Spot Task was interrupted.", 143), ReasonCode.SPOT_INTERRUPTED, "Spot"),
    "machine retired": (
        event(
            "TerminationNotice", "ECS is performing maintenance on the underlying infrastructure hosting the task.", 143
        ),
        LOST,
        "retired the machine",
    ),
    "silent": (event("UserInitiated", "outpost reconciler: silent", 137), LOST, "did not respond any more"),
    "deaf to cancel": (
        event("UserInitiated", "outpost reconciler: cancelled", 137),
        LOST,
        "ignored a request to cancel",
    ),
    "silent, of the release before": (
        event("UserInitiated", "outpost sweep: silent", 137),
        LOST,
        "did not respond any more",
    ),
    "swept": (event("UserInitiated", "outpost reconciler: works for nobody", 143), LOST, "The platform stopped"),
    "stopped by hand": (event("UserInitiated", "Task stopped by user", 143), LOST, "Somebody stopped"),
    "overtaken": (event("EssentialContainerExited", exit_code=75), LOST, "another one holds"),
    "not executable": (event("EssentialContainerExited", exit_code=126), UNUSABLE, "exit code 126"),
    "killed": (event("EssentialContainerExited", exit_code=137), LOST, "was killed"),
    "asked to end": (event("EssentialContainerExited", exit_code=143), LOST, "asked to end"),
    "crashed": (event("EssentialContainerExited", exit_code=139), LOST, "fatal signal"),
    "failed": (event("EssentialContainerExited", exit_code=1), LOST, "ended with code 1"),
    "ended well, unheard": (
        event(
            "EssentialContainerExited", exit_code=0, container="OutOfMemoryError: Container killed due to memory usage"
        ),
        LOST,
        "report did not arrive",
    ),
    "never started": (event(FAILED, "Task failed to start"), LOST, "never started"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_kind_of_end_is_recognised(name: str) -> None:
    detail, code, told = CASES[name]
    reason = diagnose(TaskStop.of(detail))
    assert reason.code is code, reason
    assert told in reason.message
    assert reason.remedy


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_a_container_that_guardduty_added_changes_nothing(name: str, place: int) -> None:
    detail = copy.deepcopy(CASES[name][0])
    agent = {"name": "aws-guardduty-agent-3xkq1", "lastStatus": "STOPPED", "exitCode": 0, "reason": "OutOfMemoryError"}
    detail["containers"].insert(place, agent)
    assert diagnose(TaskStop.of(detail)) == diagnose(TaskStop.of(CASES[name][0]))


def test_more_than_twenty_kinds_are_told_apart() -> None:
    """By what people read: the messages, without what ECS adds to them."""
    told = {diagnose(TaskStop.of(detail)).message.partition(":")[0] for detail, _, _ in CASES.values()}
    assert len(told) >= 30
    assert len({diagnose(TaskStop.of(detail)).remedy for detail, _, _ in CASES.values()}) >= 15


@pytest.mark.parametrize(
    ("lines", "code", "told"),
    [
        (["cp: writing: No space left on device"], ReasonCode.DISK_FULL, "disk was full"),
        (['{"event": "the worker cannot start", "error": "OUTPOST_QUEUE_URL is not set"}'], START, "configuration"),
        (["all is well"], LOST, "ended with code 1"),
    ],
)
def test_the_last_lines_say_what_an_exit_code_does_not(lines: list[str], code: ReasonCode, told: str) -> None:
    reason = diagnose(TaskStop.of(event("EssentialContainerExited", exit_code=1)), lines)
    assert (reason.code, told in reason.message) == (code, True)


def test_what_ecs_has_forgotten_is_told_so() -> None:
    stop = TaskStop(stop_code="Forgotten", stopped_reason="ECS does not know the task.", exit_code=None)
    assert "does not know" in diagnose(stop).message


def test_a_task_that_was_not_started_by_the_platform_is_named_as_such() -> None:
    reason = diagnose(TaskStop(stop_code="Foreign", stopped_reason="", exit_code=None))
    assert (reason.code, "did not start" in reason.message) == (ReasonCode.WORKER_LOST, True)


def test_words_with_braces_are_only_words() -> None:
    reason = diagnose(TaskStop(FAILED, "CannotPullContainerError: {code} {0} {}", None))
    assert "{code} {0} {}" in reason.message


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("You've reached the limit on the number of vCPUs you can run concurrently", CAPACITY),
        ("RESOURCE:ENI", CAPACITY),
        ("TaskDefinition is inactive", CAPACITY),
    ],
)
def test_a_refused_launch_is_a_lack_of_capacity_unless_the_words_say_otherwise(words: str, code: ReasonCode) -> None:
    assert launch_refused(words).code is code


def test_a_tail_is_whole_lines_and_never_larger_than_8_kb() -> None:
    tail = tail_of([f"line {n} \N{SNOWMAN}" for n in range(5_000)])
    assert tail.endswith("line 4999 \N{SNOWMAN}")
    assert tail.startswith("line ")
    assert LOG_TAIL_BYTES - 20 < len(tail.encode()) <= LOG_TAIL_BYTES
    assert len(tail_of(["\N{SNOWMAN}" * 10_000]).encode()) <= LOG_TAIL_BYTES
    assert tail_of([]) == ""
