"""The VPC's default security group, closed: CloudFormation cannot, so a function does."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from outpost_constructs.custom_resource import ResourceFunction


class ClosedDefaultGroup(ResourceFunction):
    """Nothing is a member of it, and what becomes one by mistake can connect to nothing."""

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.Vpc) -> None:
        super().__init__(
            scope,
            construct_id,
            package="default_group",
            description="Closes the default security group of the VPC",
            timeout=Duration.seconds(30),
        )
        stack, group = Stack.of(self), vpc.vpc_default_security_group
        self.serve(
            "Closed",
            "ClosedDefaultGroup",
            {"GroupId": group, "Account": stack.account},
            Duration.minutes(1),
            {
                ("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"): [
                    stack.format_arn(service="ec2", resource="security-group", resource_name=group)
                ]
            },
        )
