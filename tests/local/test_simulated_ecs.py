"""The simulation's ECS responds as the embedded one, in what planner, broker and reconciler rely on."""

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually
from tests.local.accounts import register_job
from tests.local.conftest import DEMO_IMAGE
from tests.simulation.aws import Call
from tests.simulation.ecs import FakeEcs
from tests.simulation.faults import Faults
from tests.simulation.scheduler import Host, Scheduler

LINGERING = {"containerOverrides": [{"name": "job", "command": ["linger", "0"]}]}


class Ecs:
    """One ECS; tasks are named by the order in which they were seen."""

    def __init__(self, call: Callable[[str, dict[str, Any]], Any], family: str) -> None:
        self._call, self._family = call, family
        self._names: dict[str, str] = {}

    def ask(self, operation: str, **request: Any) -> object:  # noqa: ANN401 - of any operation
        """Return what both must agree on of a response or an error."""
        try:
            response = self._call(operation, request)
        except ClientError as error:
            named: Any = error.response
            return named["Error"]["Code"], self._sorted(named.get("resourceIds", []))
        tasks = response.get("tasks", [response["task"]] if "task" in response else [])
        described = sorted((self._name(task["taskArn"]), task["startedBy"], task["desiredStatus"]) for task in tasks)
        families = {task["group"] == f"family:{self._family}" for task in tasks}
        revisions = {task["taskDefinitionArn"].rpartition("/")[2] == f"{self._family}:1" for task in tasks}
        failures = [failure["reason"] for failure in response.get("failures", [])]
        return described, families, revisions, failures, self._sorted(response.get("taskArns", []))

    def run(self, token: str, count: int) -> object:
        """Launch tasks."""
        family = {"taskDefinition": self._family, "overrides": LINGERING}
        return self.ask("run_task", count=count, startedBy=token, clientToken=token, **family)

    def find(self, **wanted: str) -> object:
        """List tasks of the family."""
        return self.ask("list_tasks", family=self._family, **wanted)

    def describe(self, *numbers: int) -> object:
        """Describe tasks that were seen, and one that does not exist."""
        arns = list(self._names)
        return self.ask("describe_tasks", tasks=[*(arns[number] for number in numbers), f"{arns[0][:-32]}{'0' * 31}f"])

    def stop(self, number: int) -> object:
        """Stop a task that was seen."""
        return self.ask("stop_task", task=list(self._names)[number], reason="enough")

    def _name(self, arn: str) -> str:
        return self._names.setdefault(arn, f"task-{len(self._names)}")

    def _sorted(self, arns: list[str]) -> list[str]:
        return sorted(map(self._name, arns))


CONVERSATION: tuple[Callable[[Ecs], object], ...] = (
    lambda ecs: ecs.run("first", 2),
    lambda ecs: ecs.run("first", 2),
    lambda ecs: ecs.run("first", 1),
    lambda ecs: ecs.run("second", 1),
    lambda ecs: ecs.find(desiredStatus="RUNNING"),
    lambda ecs: ecs.find(startedBy="first"),
    lambda ecs: ecs.find(desiredStatus="STOPPED"),
    lambda ecs: ecs.describe(0, 1, 2),
    lambda ecs: ecs.stop(0),
    lambda ecs: ecs.stop(0),
    lambda ecs: ecs.find(desiredStatus="RUNNING"),
    lambda ecs: ecs.ask("stop_task", task="0" * 32, reason="enough"),
)
"""Each request may be repeated: lists and descriptions follow late."""


def test_the_simulated_ecs_responds_as_the_embedded_one(aws: LocalEnvironment) -> None:
    client, family = aws.client("ecs"), register_job(aws, DEMO_IMAGE, stopTimeout=2)
    real = Ecs(lambda operation, request: getattr(client, operation)(**request), family)
    fake = FakeEcs(Scheduler(), Faults(0, calm=True), lambda _: None, lambda _: None, lambda *_: None)
    call = Call(Host("caller", 0), "ecs", "any", 5)
    simulated = Ecs(lambda operation, request: fake.operations()[operation](request, call), family)
    for number, request in enumerate(CONVERSATION):
        expected = request(simulated)
        eventually(partial(_agrees, request, real, expected), what=f"request {number}: {expected}")
    for number in (1, 2):
        real.stop(number)


def _agrees(request: Callable[[Ecs], object], ecs: Ecs, expected: object) -> bool:
    return request(ecs) == expected
