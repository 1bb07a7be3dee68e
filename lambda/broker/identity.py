"""Whether a worker is who it says: its signature names the task, and ECS what the task is (docs/adr/0043)."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self

import boto3
from aws_lambda_powertools import Logger

from broker.clients import OTHERS
from outpost.aws.caller_identity import CallerIdentity, ProofRefusedError
from outpost.domain.agents import AgentSettings
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import is_id
from outpost.domain.protocol import ClaimRequest, LeaseRequest, sha256_of
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient
    from types_boto3_ecs.type_defs import TaskTypeDef


logger = Logger(service="broker")


class ForeignWorkerError(Exception):
    """The worker is none of ours, or another than it says."""


class NoProofError(ForeignWorkerError):
    """The worker is of a release that proves nothing."""


def sent_by_holder(request: LeaseRequest, row: Dispatch) -> bool:
    """Return whether the request carries the secret that the claim was made with; any where it was made with none.

    A lease and an id stand in logs, and every worker may invoke this function: they prove nothing.
    """
    if row.secret_sha256 in (None, request.secret and sha256_of(request.secret)):
        return True
    if row.lease == request.lease:
        logger.error("a request shows another worker's lease", extra={"dispatch": row.id})
    return False


class Task(NamedTuple):
    """A worker's task, as ECS describes it."""

    arn: str
    revision: int


@dataclass(frozen=True)
class Identities:
    """Verifies workers."""

    callers: CallerIdentity
    ecs: "ECSClient"
    cluster: str

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as the environment says."""
        return cls(CallerIdentity.from_environment(), boto3.client("ecs", config=OTHERS), os.environ[Env.CLUSTER])

    def verify_caller(self, request: ClaimRequest, settings: AgentSettings, at: datetime) -> None:
        """Raise `ForeignWorkerError` unless the task that the request names has signed it; `StsError`.

        ECS alone assumes the role of a task, and names the session after the task.
        """
        if request.proof is None:
            raise NoProofError("the claim has no proof")
        try:
            caller = self.callers.caller(request.proof, at)
        except ProofRefusedError as error:
            raise ForeignWorkerError(f"the proof is refused: {error}") from error
        role = settings.task_role_arn or ""
        if (caller.account, caller.role) != (role.partition("::")[2].partition(":")[0], role.rpartition("/")[2]):
            raise ForeignWorkerError(f"{caller} is not a session of {role}, the role of {request.agent}'s workers")
        if caller.session != request.worker_id:
            raise ForeignWorkerError(f"task {caller.session} says that it is {request.worker_id}")

    def task(self, worker_id: str, settings: AgentSettings) -> Task | None:
        """Return the task of a verified caller; None where ECS does not describe it yet.

        Raises `ForeignWorkerError` unless it is one of ours that runs, and botocore's errors.
        """
        found = self.ecs.describe_tasks(cluster=self.cluster, tasks=[worker_id])["tasks"]
        if not found:  # "API failure reasons": MISSING is also what is too new
            return None
        task = found[0]
        if problem := _problem(task, self.cluster, settings.family):
            raise ForeignWorkerError(f"task {worker_id} {problem}")
        return Task(task["taskArn"], int(task["taskDefinitionArn"].rpartition(":")[2]))


def _problem(task: "TaskTypeDef", cluster: str, family: str) -> str | None:
    definition = task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0]
    if definition != family:
        return f"is of {definition}, not of {family}"
    if task["clusterArn"].rpartition("/")[2] != cluster:
        return f"is of {task['clusterArn']}, not of {cluster}"
    if not is_id(task.get("startedBy", "")):
        return f"was started by {task.get('startedBy')}, not by the planner"
    if task.get("desiredStatus") != "RUNNING":  # "Amazon ECS task lifecycle": also of one that ended by itself
        return f"is {task.get('lastStatus')}, to be {task.get('desiredStatus')}"
    return None
