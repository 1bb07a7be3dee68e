"""A registry of probes, and calls of MiniStack's own functions."""

import json
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions
from ministack.services import ecs
from ministack.services.cloudformation import provisioners

Json = dict[str, Any]
PROBES: dict[str, Callable[[], bool]] = {}


def probe(gap: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Register a function that returns whether the gap is there."""

    def register(function: Callable[[], bool]) -> Callable[[], bool]:
        PROBES[gap] = function
        return function

    return register


def resource(service: str, body: bytes, target: str = "") -> str:
    """Return the ARN on which a call is authorised."""
    headers = {"x-amz-target": target}
    return str(iam_actions.extract_resource_arn(service, "POST", "/", headers, body, {}, "us-east-1", "000000000000"))


def create(kind: str, name: str, properties: Json) -> str:
    """Create a resource as a stack does; return its physical id."""
    return str(provisioners._RESOURCE_HANDLERS[kind]["create"](name, properties, "stack")[0])


def body_of(response: Any) -> Json:  # noqa: ANN401 - MiniStack is untyped
    """Return the JSON of a service's response."""
    found: Json = json.loads(response[2])
    return found


def task_definition(family: str) -> None:
    """Register a definition with one container."""
    ecs._register_task_definition({"family": family, "containerDefinitions": [{"name": "job", "image": "i"}]})


RUN_TASK = json.dumps({"cluster": "c", "taskDefinition": "job:1"}).encode()
