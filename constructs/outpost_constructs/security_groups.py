"""Every security group and every rule between them, in one place."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from outpost_constructs.nag_suppressions import acknowledge

CONTROL_PLANE_PORT = 8080
_HTTPS = ec2.Port.HTTPS
_NFS = ec2.Port.NFS


class SecurityGroups(Construct):
    """One group for each role in the network; what no rule names is refused."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.Vpc,
        clients: Sequence[IPv4Network],
        https: bool,
        worker_egress: Sequence[IPv4Network],
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self.load_balancer = self._group("LoadBalancer", "Outpost load balancer")
        self.control_plane = self._group("ControlPlane", "Outpost control plane")
        self.workers = self._group("Workers", "Outpost workers")
        self.reaper = self._group("Reaper", "Outpost workspace reaper")
        self.file_system = self._group("FileSystem", "Outpost workspaces file system")
        self.endpoints = self._group("Endpoints", "Outpost interface endpoints")
        self._admit_clients(clients, https=https)
        self._connect(self.load_balancer, self.control_plane, ec2.Port.tcp(CONTROL_PLANE_PORT), "API requests")
        self._connect(self.workers, self.file_system, _NFS, "Workspaces over NFS")
        self._connect(self.reaper, self.file_system, _NFS, "Workspaces over NFS")
        self._connect(self.control_plane, self.endpoints, _HTTPS, "AWS APIs through interface endpoints")
        self._connect(self.workers, self.endpoints, _HTTPS, "AWS APIs through interface endpoints")
        self.control_plane.add_egress_rule(ec2.Peer.any_ipv4(), _HTTPS, "AWS APIs")
        self.reaper.add_egress_rule(ec2.Peer.any_ipv4(), _HTTPS, "DynamoDB")
        for cidr in worker_egress:
            self.workers.add_egress_rule(
                ec2.Peer.ipv4(str(cidr)), _HTTPS, "AWS APIs, git hosts and model providers, as configured"
            )

    def _group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, construct_id, vpc=self._vpc, description=description, allow_all_outbound=False)

    def _admit_clients(self, cidrs: Sequence[IPv4Network], *, https: bool) -> None:
        """Open the listener's port to the configured networks; with HTTPS, port 80 too, which only redirects."""
        ports = [ec2.Port.HTTP, *([_HTTPS] if https else [])]
        if any(cidr.prefixlen == 0 for cidr in cidrs):
            acknowledge(self.load_balancer, "EC23", "The configuration makes the API public: over TLS, and with keys")
        for cidr in cidrs:
            for port in ports:
                self.load_balancer.add_ingress_rule(ec2.Peer.ipv4(str(cidr)), port, f"Clients in {cidr}")

    @staticmethod
    def _connect(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: ec2.Port, purpose: str) -> None:
        source.add_egress_rule(target, port, purpose)
        target.add_ingress_rule(source, port, purpose)
