"""Launching workers: RunTask by family, its responses written down, its refusals remembered.

One intent is one call. A call without a response is repeated with the same client token and parameters, upon which ECS
returns the tasks of the first (Amazon ECS API Reference: "Ensuring idempotency"); nothing is ever searched in ECS's
lists, which follow up to five minutes late (RunTask: eventual consistency).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.diagnosis import launch_refused
from outpost.domain.ids import new_id, now
from outpost.domain.launches import Intent, LaunchFailure, LaunchRate
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.metrics import emit
from outpost.names import WORKER_CONTAINER, Env, Metric
from outpost.store.launches import Launches
from outpost.store.planner_lock import Term
from outpost.store.workers import Workers
from planner.plan import UNKNOWN_REVISION

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient
    from types_boto3_ecs.type_defs import TaskTypeDef

logger = Logger(service="planner")

_ON_DEMAND = "FARGATE"
_SPOT = "FARGATE_SPOT"
_CONFIG = CLIENT_CONFIG.merge(Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}))
"""The planner itself repeats calls: a refusal then says for certain that nothing was launched."""
_THROTTLES = ("throttl", "rate exceeded", "too many requests", "limit exceeded for requests")
"""Parts of a refusal that only means "too fast"; ECS hides it in errors and failures of other names."""


def is_throttle(refusal: str) -> bool:
    """Return whether a refusal is about the speed of the calls, and not about room."""
    return any(word in refusal.lower() for word in _THROTTLES)


@dataclass(frozen=True)
class Placement:
    """Where workers run."""

    cluster: str
    subnets: Sequence[str]
    security_group: str


class NoResponseError(Exception):
    """RunTask was called and its outcome is not known; its intent stays, and the call can be repeated."""


class Started(NamedTuple):
    """What RunTask returned."""

    tasks: Sequence["TaskTypeDef"]
    refusal: str | None
    """Why some tasks are missing; None when all were started."""


@dataclass(frozen=True)
class Launcher:
    """Launches workers for the planner."""

    ecs: "ECSClient"
    placement: Placement
    agents: Mapping[Agent, AgentSettings]
    workers: Workers
    launches: Launches
    now: Callable[[], datetime]
    random: Random

    @classmethod
    def from_environment(
        cls, agents: Mapping[Agent, AgentSettings], workers: Workers, launches: Launches
    ) -> "Launcher":
        """Connect as the environment says."""
        subnets, group = os.environ[Env.WORKER_SUBNETS].split(","), os.environ[Env.WORKER_SECURITY_GROUP]
        placement = Placement(os.environ[Env.CLUSTER], subnets, group)
        return cls(boto3.client("ecs", config=_CONFIG), placement, agents, workers, launches, now, Random())  # noqa: S311

    def launch(self, agent: Agent, size: int, rate: LaunchRate, term: Term) -> str | None:
        """Launch one batch; return why some of it was refused, or None.

        Spot comes first where the agent may use it, and every zone is tried before room is said to be missing.
        `rate` is what the bucket holds after this batch. Raises `NoResponseError`, `LockLostError`.
        """
        missing, refusal = size, None
        for provider, subnets in self._places(agent):
            intent = Intent(
                batch_id=new_id(),
                agent=agent,
                count=missing,
                launched_at=self.now(),
                provider=provider,
                subnets=subnets,
            )
            # Written first: a planner that dies here, or that another has replaced, launches nothing twice.
            self.launches.intend(intent, rate, term)
            started, refusal = self._call(intent)
            self._settle(intent, started)
            missing -= len(started)
            if refusal is None or is_throttle(refusal):
                break
            logger.warning("launch refused", extra={"agent": agent, "on": provider, "why": refusal})
        self._note(agent, refusal)
        return refusal

    def _places(self, agent: Agent) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield where to try a batch: capacity providers, and subnets in the order in which ECS is asked for them.

        Another subnet is first each time: a zone without room is not asked first every time.
        """
        on_spot = self.random.uniform(0, 100) < self.agents[agent].spot_share
        subnets = tuple(self.placement.subnets)
        first = self.random.randrange(len(subnets))
        for provider in [_SPOT, _ON_DEMAND] if on_spot else [_ON_DEMAND]:
            for turn in range(first, first + len(subnets)):
                start = turn % len(subnets)
                yield provider, subnets[start:] + subnets[:start]

    def repeat(self, intent: Intent) -> bool:
        """Repeat a call whose response was not seen; return whether its outcome is known now, and settled.

        A refusal of the repetition says nothing of the first call, unless it names the tasks of that call.
        """
        try:
            started, refusal = self._request(intent)
        except (BotoCoreError, ClientError) as error:
            named = _conflicting(error)
            if named is None:
                logger.warning("no response to a launch", extra={"batch": intent.batch_id, "why": str(error)})
                return False
            started, refusal = Started(named, None)
        self._settle(intent, started)
        self._note(intent.agent, refusal)
        return True

    def _call(self, intent: Intent) -> Started:
        """Call RunTask for the first time. Raises `NoResponseError`."""
        try:
            return self._request(intent)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise NoResponseError(f"RunTask: {error}") from error
            return Started([], f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}")
        except BotoCoreError as error:
            raise NoResponseError(f"RunTask: {error}") from error

    def _request(self, intent: Intent) -> Started:
        """Call RunTask with what the intent says. Raises botocore's errors."""
        capacity = "spot" if intent.provider == _SPOT else "on-demand"  # a worker's metadata does not have it
        response = self.ecs.run_task(
            cluster=self.placement.cluster,
            taskDefinition=self.agents[intent.agent].family,
            count=intent.count,
            capacityProviderStrategy=[{"capacityProvider": intent.provider, "weight": 1}],
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(intent.subnets),
                    "securityGroups": [self.placement.security_group],
                    "assignPublicIp": "DISABLED",
                },
            },
            overrides={
                "containerOverrides": [
                    {"name": WORKER_CONTAINER, "environment": [{"name": Env.CAPACITY, "value": capacity}]}
                ],
            },
            startedBy=intent.batch_id,
            clientToken=intent.batch_id,
        )
        failures = [failure.get("reason", "unknown") for failure in response.get("failures", [])]
        return Started(response["tasks"], failures[0] if failures else None)

    def _settle(self, intent: Intent, started: Sequence["TaskTypeDef"]) -> None:
        """Write tasks as workers, and only then remove their intent: supply that is read meanwhile misses none."""
        self.workers.add(
            Worker(
                worker_id=task["taskArn"].rpartition("/")[2],
                task_arn=task["taskArn"],
                agent=intent.agent,
                revision=int(task.get("taskDefinitionArn", f":{UNKNOWN_REVISION}").rpartition(":")[2]),
                worker_state=WorkerState.STARTING,
                launched_at=self.now(),
            )
            for task in started
        )
        self.launches.settle(intent)
        emit(Metric.LAUNCHES, len(started), Agent=intent.agent)

    def _note(self, agent: Agent, refusal: str | None) -> None:
        """Remember whether a launch was refused, for the pause before the next."""
        at = self.now()
        emit(Metric.LAUNCH_FAILURES, int(refusal is not None), Agent=agent)
        if refusal is None:
            self.launches.accepted(agent)
        elif not is_throttle(refusal):
            failure = LaunchFailure(reason=launch_refused(refusal), launched_at=at, failed_at=at)
            self.launches.failed(agent, failure, at)


def _conflicting(error: BotoCoreError | ClientError) -> list["TaskTypeDef"] | None:
    """Return the tasks that a client token stands for, None where the error is not about that.

    A new revision of the family may make the same request another one, and so does a smaller count (RunTask:
    ConflictException, `resourceIds`: the existing tasks of the client token).
    """
    response: Any = error.response if isinstance(error, ClientError) else {}
    arns = response.get("resourceIds")
    return None if arns is None else [{"taskArn": arn} for arn in arns]
