"""Launching workers: RunTask by family, its answers written down, its refusals remembered."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.diagnosis import launch_refused
from outpost.domain.ids import new_id, now
from outpost.names import Env
from outpost.store.database import CLIENT_CONFIG
from outpost.store.launches import INTENT_LIFETIME, Intent, Launches
from outpost.store.workers import Worker, Workers, WorkerState

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient
    from types_boto3_ecs.type_defs import TaskTypeDef

logger = Logger(service="capacity")

_ON_DEMAND = "FARGATE"
_SPOT = "FARGATE_SPOT"


@dataclass(frozen=True)
class Placement:
    """Where workers run."""

    cluster: str
    subnets: Sequence[str]
    security_group: str

    @classmethod
    def from_environment(cls) -> "Placement":
        """Read the cluster, subnets and security group of the environment."""
        return cls(
            cluster=os.environ[Env.CLUSTER],
            subnets=os.environ[Env.WORKER_SUBNETS].split(","),
            security_group=os.environ[Env.WORKER_SECURITY_GROUP],
        )


class Launcher:
    """Launches workers for the planner."""

    def __init__(
        self,
        ecs: "ECSClient",
        placement: Placement,
        agents: Mapping[Agent, AgentSettings],
        workers: Workers,
        launches: Launches,
    ) -> None:
        self._ecs = ecs
        self._placement = placement
        self._agents = agents
        self._workers = workers
        self._launches = launches
        self._turn: Iterator[int] = count()

    @classmethod
    def from_environment(
        cls, agents: Mapping[Agent, AgentSettings], workers: Workers, launches: Launches
    ) -> "Launcher":
        """Connect as the environment says."""
        return cls(boto3.client("ecs", config=CLIENT_CONFIG), Placement.from_environment(), agents, workers, launches)

    def launch(self, agent: Agent, size: int) -> None:
        """Launch one batch. The intent is written first, so that a planner that dies here launches nothing twice."""
        intent = Intent(batch_id=new_id(), agent=agent, count=size, launched_at=now())
        self._launches.intend(intent)
        started, refusal = self._run(intent)
        self._workers.launched(_workers(started, agent))
        self._launches.settle(intent)
        if refusal:
            self._launches.failed(agent, launch_refused(refusal), now())
        elif self._launches.failure(agent):
            self._launches.succeeded(agent)

    def _run(self, intent: Intent) -> tuple[list["TaskTypeDef"], str | None]:
        """Start the batch, on Spot first where the agent may, and return the tasks and why some are missing."""
        providers = [_SPOT, _ON_DEMAND] if self._agents[intent.agent].spot else [_ON_DEMAND]
        started: list[TaskTypeDef] = []
        refusal = None
        for provider in providers:
            tasks, refusal = self._run_on(provider, intent, intent.count - len(started))
            started += tasks
            if refusal is None:
                break
            logger.warning("launch refused", extra={"agent": intent.agent, "provider": provider, "why": refusal})
        return started, refusal

    def _run_on(self, provider: str, intent: Intent, size: int) -> tuple[list["TaskTypeDef"], str | None]:
        subnets = self._placement.subnets
        turn = next(self._turn) % len(subnets)
        try:
            answer = self._ecs.run_task(
                cluster=self._placement.cluster,
                taskDefinition=self._agents[intent.agent].family,
                count=size,
                capacityProviderStrategy=[{"capacityProvider": provider, "weight": 1}],
                networkConfiguration={
                    "awsvpcConfiguration": {
                        # Rotated: a zone without room is not asked first every time.
                        "subnets": [*subnets[turn:], *subnets[:turn]],
                        "securityGroups": [self._placement.security_group],
                        "assignPublicIp": "DISABLED",
                    },
                },
                startedBy=intent.batch_id,
                clientToken=f"{intent.batch_id}-{provider[-4:]}",
            )
        except ClientError as error:
            return [], error.response["Error"].get("Message", str(error))
        failures = [failure.get("reason", "unknown") for failure in answer.get("failures", [])]
        return answer["tasks"], failures[0] if failures else None

    def reconcile(self, intent: Intent) -> None:
        """Write down the tasks of an intent whose planner died, and forget it once it counts no more."""
        cluster = self._placement.cluster
        arns = self._ecs.list_tasks(cluster=cluster, startedBy=intent.batch_id)["taskArns"]
        if arns:
            tasks = self._ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
            self._workers.launched(_workers(tasks, intent.agent))
        if len(arns) >= intent.count or now() - intent.launched_at >= INTENT_LIFETIME:
            self._launches.settle(intent)


def _workers(tasks: Sequence[Any], agent: Agent) -> list[Worker]:
    return [
        Worker(
            worker_id=task["taskArn"].rpartition("/")[2],
            task_arn=task["taskArn"],
            live_agent=agent,
            revision=int(task["taskDefinitionArn"].rpartition(":")[2]),
            worker_state=WorkerState.STARTING,
            launched_at=now(),
        )
        for task in tasks
    ]
