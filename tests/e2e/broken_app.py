"""The app with a fault in it, for tests of deployments that fail: `python broken_app.py control-plane|fleet`."""

import sys

from aws_cdk import aws_logs as logs

from app import OutpostApp
from outpost.names import Env

TAKEN = "/outpost/local/broker"


def main(fault: str) -> None:
    app = OutpostApp()
    (stage,) = app.stages
    if fault == "control-plane":  # a task that ends as soon as it starts
        container = stage.control_plane.api.definition.default_container
        assert container is not None
        container.add_environment(Env.TENANTS_TABLE, "gone")
    else:  # a resource that cannot be created, after others were changed
        group = logs.LogGroup(stage.fleet, "Taken", log_group_name=TAKEN)
        group.node.add_dependency(stage.fleet.broker.function)
        stage.fleet.broker.function.add_environment(Env.DISPATCHES_TABLE, "gone")
    app.synth()


if __name__ == "__main__":
    main(sys.argv[1])
