"""The VPC: subnets, the way out, gateway and interface endpoints, flow logs."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.default_group import ClosedDefaultGroup
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.nat_instance import nat_instances, prepare
from outpost_ops.config.model import NetworkConfig


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
            prepare(provider, str(network.cidr))
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
    return None if nat == "none" else ec2.NatProvider.gateway() if nat == "gateway" else nat_instances()
