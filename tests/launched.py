"""Workers that ask for work without a task of ECS: as the planner writes them, with sessions as ECS gives them."""

import boto3
from botocore.credentials import ReadOnlyCredentials

from outpost.aws.caller_identity import prove
from outpost.domain.agents import Agent
from outpost.domain.ids import new_id, now
from outpost.domain.protocol import ClaimRequest
from outpost.domain.workers import Worker, WorkerState
from outpost.store.workers import Workers

REGION = "us-east-1"
TASK_ROLE = "arn:aws:iam::000000000000:role/outpost-worker"


def task_arn(worker_id: str) -> str:
    """Return the ARN of a worker's task."""
    return f"arn:aws:ecs:{REGION}:000000000000:task/outpost/{worker_id}"


def session(worker_id: str, role_arn: str = TASK_ROLE) -> ReadOnlyCredentials:
    """Return credentials as ECS gives them to a task: of its role, the session named after the task."""
    keys = boto3.client("sts", region_name=REGION).assume_role(RoleArn=role_arn, RoleSessionName=worker_id)
    issued = keys["Credentials"]
    return ReadOnlyCredentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def launch(workers: Workers, agent: Agent = Agent.SHELL, worker_id: str | None = None) -> str:
    """Write a new worker as the planner does once RunTask has returned; return its id."""
    id_ = worker_id or new_id()
    state = WorkerState.STARTING
    workers.add(
        [
            Worker(
                worker_id=id_,
                task_arn=task_arn(id_),
                agent=agent,
                revision=1,
                worker_state=state,
                launched_at=now(),
            )
        ]
    )
    return id_


def claim_request(worker_id: str, agent: Agent = Agent.SHELL, environment: str = "test") -> ClaimRequest:
    """Return a worker's request for work, signed now."""
    proof = prove(session(worker_id), REGION, environment)
    return ClaimRequest(worker_id=worker_id, task_arn=task_arn(worker_id), agent=agent, revision=1, proof=proof)
