"""Launching workers: RunTask by family, its answers written down, its refusals remembered."""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.diagnosis import launch_refused
from outpost.domain.ids import new_id, now
from outpost.names import WORKER_CONTAINER, Env, Metric
from outpost.store.database import CLIENT_CONFIG
from outpost.store.launches import INTENT_LIFETIME, Intent, Launches
from outpost.store.metrics import emit
from outpost.store.workers import Worker, Workers, WorkerState

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient
    from types_boto3_ecs.type_defs import KeyValuePairTypeDef

logger = Logger(service="capacity")

_ON_DEMAND = "FARGATE"
_SPOT = "FARGATE_SPOT"
_THROTTLES = ("throttl", "rate exceeded", "too many requests", "limit exceeded for requests")
"""Words of a refusal that only means "too fast"; ECS hides it in errors and failures of other names."""


def is_throttle(refusal: str) -> bool:
    """Say whether a refusal is about the speed of the calls, and not about room."""
    return any(word in refusal.lower() for word in _THROTTLES)


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

    def rotated(self, turn: int) -> list[str]:
        """Return the subnets, another one first each turn: a zone without room is not asked first every time."""
        first = turn % len(self.subnets)
        return [*self.subnets[first:], *self.subnets[:first]]


class Launcher:
    """Launches workers for the planner."""

    def __init__(
        self,
        ecs: "ECSClient",
        placement: Placement,
        agents: Mapping[Agent, AgentSettings],
        workers: Workers,
        launches: Launches,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ecs = ecs
        self._placement = placement
        self._agents = agents
        self._workers = workers
        self._launches = launches
        self._now = clock
        self._turn: Iterator[int] = count()

    @classmethod
    def from_environment(
        cls, agents: Mapping[Agent, AgentSettings], workers: Workers, launches: Launches
    ) -> "Launcher":
        """Connect as the environment says."""
        return cls(boto3.client("ecs", config=CLIENT_CONFIG), Placement.from_environment(), agents, workers, launches)

    def launch(self, agent: Agent, size: int) -> bool:
        """Launch one batch; return whether ECS says that this was too fast.

        The intent is written first, so that a planner that dies here launches nothing twice.
        """
        intent = Intent(batch_id=new_id(), agent=agent, count=size, launched_at=self._now())
        self._launches.intend(intent)
        started, refusal = self._run(intent)
        self._workers.add(self._as_workers(started, agent))
        self._launches.settle(intent)
        emit(Metric.LAUNCHES, len(started), Agent=agent)
        emit(Metric.LAUNCH_FAILURES, int(refusal is not None), Agent=agent)
        if refusal is None:
            self._launches.accepted(agent)
        elif not is_throttle(refusal):
            self._launches.failed(agent, launch_refused(refusal), intent.launched_at, self._now())
        return refusal is not None and is_throttle(refusal)

    def _run(self, intent: Intent) -> tuple[list[Any], str | None]:
        """Start the batch and return the tasks, and why some are missing.

        Spot comes first where the agent may use it, and every zone is tried before room is said to be missing.
        """
        on_spot = random.uniform(0, 100) < self._agents[intent.agent].spot_share  # noqa: S311 - a share, not a secret
        providers = [_SPOT, _ON_DEMAND] if on_spot else [_ON_DEMAND]
        started: list[Any] = []
        refusal = None
        for provider in providers:
            for _ in self._placement.subnets:
                tasks, refusal = self._run_once(provider, intent, intent.count - len(started))
                started += tasks
                if refusal is None or is_throttle(refusal):
                    return started, refusal
                logger.warning("launch refused", extra={"agent": intent.agent, "on": provider, "why": refusal})
        return started, refusal

    def _run_once(self, provider: str, intent: Intent, size: int) -> tuple[list[Any], str | None]:
        turn = next(self._turn)
        try:
            answer = self._ecs.run_task(
                cluster=self._placement.cluster,
                taskDefinition=self._agents[intent.agent].family,
                count=size,
                capacityProviderStrategy=[{"capacityProvider": provider, "weight": 1}],
                networkConfiguration={
                    "awsvpcConfiguration": {
                        "subnets": self._placement.rotated(turn),
                        "securityGroups": [self._placement.security_group],
                        "assignPublicIp": "DISABLED",
                    },
                },
                overrides={"containerOverrides": [{"name": WORKER_CONTAINER, "environment": [_told(provider)]}]},
                startedBy=intent.batch_id,
                clientToken=f"{intent.batch_id}-{turn}",
            )
        except ClientError as error:
            return [], f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"
        failures = [failure.get("reason", "unknown") for failure in answer.get("failures", [])]
        return list(answer["tasks"]), failures[0] if failures else None

    def reconcile(self, intent: Intent) -> Intent:
        """Write the tasks of an intent whose planner died as workers, and remove it once it counts no more.

        Returns what is left of it: ECS lists tasks late ("Amazon ECS API: eventual consistency"), so those not listed
        yet still count as supply, and those written as workers must not count twice.
        """
        cluster = self._placement.cluster
        arns = self._ecs.list_tasks(cluster=cluster, startedBy=intent.batch_id)["taskArns"]
        tasks = self._ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        self._workers.add(self._as_workers(tasks, intent.agent))
        if len(tasks) >= intent.count or self._now() - intent.launched_at >= INTENT_LIFETIME:
            self._launches.settle(intent)
        return intent.model_copy(update={"count": max(0, intent.count - len(tasks))})

    def _as_workers(self, tasks: Sequence[Any], agent: Agent) -> list[Worker]:
        return [
            Worker(
                worker_id=task["taskArn"].rpartition("/")[2],
                task_arn=task["taskArn"],
                agent=agent,
                revision=int(task["taskDefinitionArn"].rpartition(":")[2]),
                worker_state=WorkerState.STARTING,
                launched_at=self._now(),
            )
            for task in tasks
        ]


def _told(provider: str) -> "KeyValuePairTypeDef":
    """Return the variable by which a worker knows what it runs on; its metadata does not tell."""
    return {"name": Env.CAPACITY, "value": "spot" if provider == _SPOT else "on-demand"}
