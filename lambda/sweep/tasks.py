"""The cluster's tasks, as the sweep sees and stops them. One list per pass, however many workers there are."""

import os
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from outpost.domain.diagnosis import TaskStop
from outpost.names import Env
from outpost.store.database import CLIENT_CONFIG

if TYPE_CHECKING:
    from types_boto3_ecs.client import ECSClient

REMEMBERED = timedelta(hours=1)
"""For this long, at least, ECS describes a stopped task ("DescribeTasks"): one that it does not know is new to it."""
FORGOTTEN = TaskStop(stop_code="Forgotten", stopped_reason="ECS no longer knows the task.", exit_code=None)


class Tasks:
    """The workers' tasks at the time of one pass."""

    def __init__(self, client: "ECSClient", cluster: str, families: Iterable[str]) -> None:
        self._client = client
        self._cluster = cluster
        self._families = list(families)

    @classmethod
    def from_environment(cls, families: Iterable[str]) -> "Tasks":
        """Connect as the environment says."""
        return cls(boto3.client("ecs", config=CLIENT_CONFIG), os.environ[Env.CLUSTER], families)

    def afresh(self) -> "Tasks":
        """Return the same, knowing nothing yet: for the next pass."""
        return Tasks(self._client, self._cluster, self._families)

    @cached_property
    def _running(self) -> set[str]:
        pages = self._client.get_paginator("list_tasks")
        return {
            arn
            for family in self._families
            for page in pages.paginate(cluster=self._cluster, family=family, desiredStatus="RUNNING")
            for arn in page["taskArns"]
        }

    def running(self, task_arn: str) -> bool:
        """Say whether ECS wants the task to run; it may still be starting."""
        return task_arn in self._running

    def stop_of(self, task_arn: str) -> TaskStop | None:
        """Return how a task ended, or None when it has not."""
        answer = self._client.describe_tasks(cluster=self._cluster, tasks=[task_arn])
        if not answer["tasks"]:
            return FORGOTTEN
        task = answer["tasks"][0]
        return TaskStop.of(task) if task.get("lastStatus") == "STOPPED" else None

    def stop(self, task_arn: str, why: str) -> None:
        """Stop a task; one that is gone already needs no stopping."""
        try:
            self._client.stop_task(cluster=self._cluster, task=task_arn, reason=f"outpost sweep: {why}")
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidParameterException":
                raise
