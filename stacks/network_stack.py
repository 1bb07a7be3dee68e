"""Network: the environment's key, the VPC and every security group."""

from constructs import Construct

from outpost_constructs.environment_key import EnvironmentKey
from outpost_constructs.network import Network, SecurityGroups
from outpost_constructs.stack import OutpostStack
from outpost_ops.config import EnvironmentConfig


class NetworkStack(OutpostStack):
    """Changes seldom; everything else stands on it."""

    def __init__(self, scope: Construct, config: EnvironmentConfig) -> None:
        super().__init__(scope, "Network", purpose="network", config=config)
        if config.encryption == "customer":
            EnvironmentKey(self)
        self.network = Network(self, "Network", network=config.network, zones=config.zones)
        self.security_groups = SecurityGroups(
            self,
            "SecurityGroups",
            vpc=self.network.vpc,
            clients=config.ingress.cidrs,
            https=config.tls.enabled,
            worker_egress=config.network.worker_egress,
        )
        self.network.add_interface_endpoints(config.network.endpoints, self.security_groups.endpoints)
