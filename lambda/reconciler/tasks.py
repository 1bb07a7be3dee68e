"""The cluster's worker tasks, as the reconciler sees and stops them: one list a pass, however many there are."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop
from reconciler.decisions import Task

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient

_DESCRIBED = 100
"""Tasks that one DescribeTasks may name."""
_REFUSALS = ("AccessDeniedException", "ClientException", "InvalidParameterException")
"""Errors about the task that a request names; all others are about ECS or the way to it."""


class TasksUnavailableError(Exception):
    """ECS failed in this pass. It is not called again in the same pass, so that it delays nothing else."""


class Tasks:
    """The workers' tasks at the time of one pass. All methods raise `TasksUnavailableError`."""

    def __init__(self, client: "ECSClient", cluster: str, families: Mapping[Agent, str]) -> None:
        """`families`: of all agents, those that are not enabled too."""
        self._client = client
        self._cluster = cluster
        self.families = families
        self._failure: Exception | None = None

    def unread(self) -> "Tasks":
        """Return the same, before its list is read: for the next pass."""
        return Tasks(self._client, self._cluster, self.families)

    def owns(self, task_arn: str, task_id: str) -> bool:
        """Return whether an ARN is that of a task of this id in our cluster."""
        return task_arn.endswith(f":task/{self._cluster}/{task_id}")

    @cached_property
    def _running(self) -> dict[Agent, list[str]]:
        """The sorted ids of the tasks that ECS wants to run, by the agent whose family they are of."""
        return {agent: sorted(self._list(family)) for agent, family in self.families.items()}

    def _list(self, family: str) -> Iterator[str]:
        request = {"cluster": self._cluster, "family": family, "desiredStatus": "RUNNING"}
        while True:
            page = self._call(self._client.list_tasks, **request)
            yield from (arn.rpartition("/")[2] for arn in page["taskArns"])
            if "nextToken" not in page:
                return
            request["nextToken"] = page["nextToken"]

    def running(self, agent: Agent, after: str, until: str | None) -> Sequence[str]:
        """Return the ids of an agent's tasks that ECS wants to run, above `after` and not above `until`."""
        ids = self._running[agent]
        return ids[bisect_right(ids, after) : None if until is None else bisect_right(ids, until)]

    def describe(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """Return the tasks of these ids that ECS knows, by id."""
        found: dict[str, Task] = {}
        for first in range(0, len(task_ids), _DESCRIBED):
            part = list(task_ids[first : first + _DESCRIBED])
            response = self._call(self._client.describe_tasks, cluster=self._cluster, tasks=part)
            found.update((task.task_id, task) for task in map(_task, response["tasks"]))
        return found

    def stop(self, task_id: str, why: str) -> None:
        """Stop a task; one that is gone already needs no stopping. Raises `ClientError` when ECS refuses."""
        try:
            self._call(self._client.stop_task, cluster=self._cluster, task=task_id, reason=f"outpost reconciler: {why}")
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidParameterException":
                raise

    def _call(self, operation: Callable[..., Any], **parameters: object) -> Any:  # noqa: ANN401 - any of ECS's responses
        if self._failure is not None:
            raise TasksUnavailableError("ECS failed before in this pass") from self._failure
        try:
            return operation(**parameters)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in _REFUSALS:
                raise
            self._failure = error
            raise TasksUnavailableError(str(error)) from error


def _task(described: Mapping[str, Any]) -> Task:
    return Task(
        task_id=described["taskArn"].rpartition("/")[2],
        family=described["taskDefinitionArn"].rpartition("/")[2].partition(":")[0],
        started_by=described.get("startedBy", ""),
        created_at=described.get("createdAt"),
        stop=TaskStop.of(described) if described.get("lastStatus") == "STOPPED" else None,
    )
