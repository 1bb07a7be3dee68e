"""The VPC's default security group, closed: CloudFormation cannot, so a function does."""

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_ops.config import EnvironmentConfig


class ClosedDefaultGroup(Construct):
    """Nothing is a member of it, and who becomes one by mistake can talk to nobody."""

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.Vpc, config: EnvironmentConfig) -> None:
        super().__init__(scope, construct_id)
        self.function = OutpostFunction(
            self,
            "Function",
            package="default_group",
            description="Closes the default security group of the VPC",
            timeout=Duration.seconds(30),
            environment={},
            config=config,
        )
        group = vpc.vpc_default_security_group
        arn = Stack.of(self).format_arn(service="ec2", resource="security-group", resource_name=group)
        grant = iam.Grant.add_to_principal(
            grantee=self.function,
            actions=["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"],
            resource_arns=[arn],
        )
        closed = CustomResource(
            self,
            "Closed",
            resource_type="Custom::ClosedDefaultGroup",
            service_token=self.function.function_arn,
            service_timeout=Duration.minutes(1),
            properties={"GroupId": group, "Account": config.account},
        )
        grant.apply_before(closed)
