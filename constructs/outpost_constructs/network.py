"""The VPC: subnets, the way out by NAT, endpoints, flow logs, and every security group with the rules between them."""

from collections.abc import Sequence
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path
from typing import cast

from aws_cdk import CfnCreationPolicy, CfnResourceSignal, Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.custom_resource import ClosedDefaultGroup
from outpost_constructs.environment_key import key_of
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.nag_suppressions import acknowledge
from outpost_ops.config.model import NetworkConfig

CONTROL_PLANE_PORT = 8080
_HTTPS = ec2.Port.HTTPS
_NFS = ec2.Port.NFS
_NAT_SCRIPT = Path(__file__).with_name("nat_instance.sh")
_NAT_READY_WITHIN = "PT15M"
"""ISO 8601: how long the stack waits for an instance's signal; a first boot takes one to three minutes."""


class Network(Construct):
    """Two or more zones with a public and a private subnet each; only the load balancer and NATs are public."""

    vpc: ec2.Vpc

    def __init__(self, scope: Construct, construct_id: str, *, network: NetworkConfig, zones: Sequence[str]) -> None:
        super().__init__(scope, construct_id)
        provider = _nat_provider(network.nat)
        closed = network.nat == "none"
        private = ec2.SubnetType.PRIVATE_ISOLATED if closed else ec2.SubnetType.PRIVATE_WITH_EGRESS
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(str(network.cidr)),
            availability_zones=list(zones),
            nat_gateway_provider=provider,
            nat_gateways=0 if closed else network.nat_count,
            restrict_default_security_group=False,  # the CDK's way takes Node and wide permissions; see below
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="Private", subnet_type=private),
            ],
        )
        ClosedDefaultGroup(self, "DefaultGroup", vpc=self.vpc)
        if isinstance(provider, ec2.NatInstanceProviderV2):
            _prepare(provider, str(network.cidr))
        s3 = self._gateway("S3", ec2.GatewayVpcEndpointAwsService.S3)
        s3.add_to_policy(_image_layers(Stack.of(self).region))
        self._gateway("DynamoDb", ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        flow_logs = ExpiringLogGroup(self, "FlowLogs", name="flow-logs")
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_logs),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )

    @property
    def private_subnets(self) -> list[ec2.ISubnet]:
        """The subnets of control plane, workers and file system."""
        return self.vpc.private_subnets or self.vpc.isolated_subnets

    def _gateway(self, construct_id: str, service: ec2.GatewayVpcEndpointAwsService) -> ec2.GatewayVpcEndpoint:
        """Give the private subnets a way to the service that needs no NAT, for what is ours.

        In a public subnet's route table it would also catch what NAT instances send, and refuse them the package
        repositories of Amazon Linux, which are buckets of AWS (aws-cdk issue 36717).
        """
        private = ec2.SubnetSelection(subnets=self.private_subnets)
        endpoint = self.vpc.add_gateway_endpoint(construct_id, service=service, subnets=[private])
        endpoint.add_to_policy(_only_ours(Stack.of(self).account))
        return endpoint

    def add_interface_endpoints(self, services: tuple[str, ...], security_group: ec2.ISecurityGroup) -> None:
        """Give AWS services an address inside the private subnets."""
        for service in services:
            self.vpc.add_interface_endpoint(
                "".join(part.capitalize() for part in service.replace("-", ".").split(".")),
                service=ec2.InterfaceVpcEndpointAwsService(service),
                subnets=ec2.SubnetSelection(subnets=self.private_subnets),
                security_groups=[security_group],
                open=False,
            )


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


def _only_ours(account: str) -> iam.PolicyStatement:
    """Admit buckets and tables of this account: no credentials can carry data into another one.

    Their names would point from Network forwards, to Data.
    """
    return iam.PolicyStatement(
        sid="OursOnly",
        principals=[iam.AnyPrincipal()],
        actions=["*"],
        resources=["*"],
        conditions={"StringEquals": {"aws:ResourceAccount": account}},
    )


def _image_layers(region: str) -> iam.PolicyStatement:
    """Admit the bucket that ECR hands out image layers from."""
    return iam.PolicyStatement(
        sid="ImageLayers",
        principals=[iam.AnyPrincipal()],
        actions=["s3:GetObject"],
        resources=[f"arn:aws:s3:::prod-{region}-starport-layer-bucket/*"],
    )


def _nat_provider(nat: str) -> ec2.NatProvider | None:
    """Return what makes the NATs: a nano each where they are instances, which `_prepare` makes ready."""
    if nat != "instance":
        return ec2.NatProvider.gateway() if nat == "gateway" else None
    return ec2.NatProvider.instance_v2(
        instance_type=ec2.InstanceType.of(ec2.InstanceClass.T4G, ec2.InstanceSize.NANO),
        associate_public_ip_address=True,
        default_allowed_traffic=ec2.NatTrafficDirection.OUTBOUND_ONLY,
    )


def _prepare(provider: ec2.NatInstanceProviderV2, cidr: str) -> None:
    """Admit HTTPS of the network; require IMDSv2, encrypt the volumes, and have each instance signal that it forwards.

    The CDK's own user data needs a package at every first boot and reports no error when there is none (aws-cdk issue
    36717). An instance that does not signal success fails its stack, instead of leaving a network without a way out.
    """
    provider.connections.allow_from(ec2.Peer.ipv4(cidr), ec2.Port.HTTPS, "HTTPS on its way out")
    for each in provider.gateway_instances:
        key = key_of(each)
        instance = cast(ec2.CfnInstance, each.node.default_child)
        _boot(instance, cidr)
        instance.metadata_options = ec2.CfnInstance.MetadataOptionsProperty(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        )
        volume = ec2.CfnInstance.EbsProperty(encrypted=True, volume_type="gp3", kms_key_id=key.key_arn if key else None)
        instance.block_device_mappings = [
            ec2.CfnInstance.BlockDeviceMappingProperty(device_name="/dev/xvda", ebs=volume)
        ]
        acknowledge(instance, "EC28", "It forwards packets; five-minute metrics show whether it is alive")
        acknowledge(instance, "EC29", "It holds no state: a deploy may replace it at any time")


def _boot(instance: ec2.CfnInstance, network: str) -> None:
    """Set the user data, and make the stack wait for its signal.

    User data runs at the first boot only. Hence a change of it has to replace the instance, and its hash is part of
    the logical id: CloudFormation waits for the new instance, moves the routes to it, then deletes the old one.
    """
    stack = Stack.of(instance)
    body = _NAT_SCRIPT.read_text(encoding="utf-8")
    resource = f"{stack.get_logical_id(instance)}{sha256(f'{network} {body}'.encode()).hexdigest()[:8]}"
    instance.override_logical_id(resource)
    values = {"NETWORK": network, "STACK": stack.stack_name, "RESOURCE": resource, "REGION": stack.region}
    head = ["#!/bin/bash", *(f"{name}={value}" for name, value in values.items())]
    instance.user_data = Fn.base64("\n".join(head) + "\n" + body)
    instance.cfn_options.creation_policy = CfnCreationPolicy(
        resource_signal=CfnResourceSignal(count=1, timeout=_NAT_READY_WITHIN)
    )
