"""One environment: its stacks, in the order in which they stand on each other."""

from aws_cdk import Environment, Stage, Tags
from constructs import Construct

from outpost_constructs.stack import ENVIRONMENT_TAG
from outpost_ops.config import EnvironmentConfig
from stacks.audit_stack import AuditStack
from stacks.control_plane_stack import ControlPlaneStack
from stacks.data_stack import DataStack
from stacks.fleet_stack import FleetStack
from stacks.migration_stack import MigrationStack
from stacks.network_stack import NetworkStack
from stacks.observability_stack import ObservabilityStack


class OutpostStage(Stage):
    """`Outpost-<name>`: the same stacks in every environment, from that environment's configuration."""

    def __init__(self, scope: Construct, *, config: EnvironmentConfig) -> None:
        environment = Environment(account=config.account, region=config.region)
        super().__init__(scope, f"Outpost-{config.name}", env=environment)
        # The CDK looks zones up in the account even when they are given; the configuration has them.
        self.node.set_context(f"availability-zones:account={config.account}:region={config.region}", list(config.zones))
        Tags.of(self).add(ENVIRONMENT_TAG, config.name)
        self.network = NetworkStack(self, config)
        self.data = DataStack(self, config, network=self.network)
        self.audit = AuditStack(self, config, data=self.data)
        self.fleet = FleetStack(self, config, network=self.network, data=self.data)
        # Nothing is done here before the trail records it.
        self.fleet.add_stack_dependency(self.audit)
        self.control_plane = ControlPlaneStack(
            self, config, network=self.network, data=self.data, audit=self.audit, fleet=self.fleet
        )
        # A service whose workers are not deployed would accept what nobody can run.
        self.control_plane.add_stack_dependency(self.fleet)
        ObservabilityStack(self, config, data=self.data, fleet=self.fleet, control_plane=self.control_plane)
        if config.migration.enabled:
            MigrationStack(
                self,
                config,
                data=self.data,
                audit=self.audit,
                fleet=self.fleet,
                control_plane=self.control_plane,
            )
