"""The app with a fault in it, for tests of deployments that fail.

`python broken_app.py control-plane|fleet`, or the names of stacks whose last resource cannot be created.
"""

import sys

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from constructs import IConstruct

from app import OutpostApp
from outpost.names import Env


def taken(stack: str) -> str:
    """Return the name of a log group that exists already, one for each stack."""
    return f"/taken/{stack}"


def main(fault: str, *more: str) -> None:
    app = OutpostApp()
    (stage,) = app.stages
    if fault == "control-plane":  # a task that ends as soon as it starts
        container = stage.control_plane.api.definition.default_container
        assert container is not None
        container.add_environment(Env.TENANTS_TABLE, "gone")
    elif fault == "fleet":  # a resource that cannot be created, after others were changed
        add_taken_group(stage.fleet)
        stage.fleet.broker.function.add_environment(Env.DISPATCHES_TABLE, "gone")
    else:
        for stack in (fault, *more):
            add_taken_group(stage.node.find_child(stack))
    app.synth()


def add_taken_group(stack: IConstruct) -> None:
    """Create a log group whose name is taken, after everything else in the stack."""
    others = list(stack.node.children)
    group = logs.LogGroup(
        Stack.of(stack),
        "Taken",
        log_group_name=taken(stack.node.id),
        removal_policy=RemovalPolicy.DESTROY,
    )
    for other in others:
        group.node.add_dependency(other)


if __name__ == "__main__":
    main(*sys.argv[1:])
