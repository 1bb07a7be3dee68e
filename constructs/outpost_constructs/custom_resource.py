"""Functions that CloudFormation calls during a deploy, for what it cannot do itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow

_PROTECTING = Duration.minutes(8)
"""More than the function's waits: up to 90 seconds for refused calls, then up to 300 for tables."""


class ResourceFunction(OutpostFunction):
    """Serves one custom resource, which exists once its permissions do. A deploy reports its errors, not an alarm."""

    def serve(
        self,
        construct_id: str,
        resource_type: str,
        properties: Mapping[str, Any],
        timeout: Duration,
        allowed: Mapping[tuple[str, ...], Sequence[str]],
    ) -> None:
        """Add the resource; `allowed` are the ARNs by the actions that the function may call on them."""
        resource = CustomResource(
            self,
            construct_id,
            resource_type=f"Custom::{resource_type}",
            service_token=self.function.function_arn,
            service_timeout=timeout,
            properties=properties,
        )
        for actions, arns in allowed.items():
            if arns:
                allow(self.role, *actions, on=arns).apply_before(resource)


class ClosedDefaultGroup(ResourceFunction):
    """Nothing is a member of the VPC's default group, and what becomes one by mistake can connect to nothing."""

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.Vpc) -> None:
        super().__init__(
            scope,
            construct_id,
            package="default_group",
            description="Closes the default security group of the VPC",
            timeout=Duration.seconds(30),
        )
        stack, group = Stack.of(self), vpc.vpc_default_security_group
        arn = stack.format_arn(service="ec2", resource="security-group", resource_name=group)
        self.serve(
            "Closed",
            "ClosedDefaultGroup",
            {"GroupId": group, "Account": stack.account},
            Duration.minutes(1),
            {("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"): [arn]},
        )


class DeletionProtection(ResourceFunction):
    """Protects tables (ARNs) and load balancers of its stack after they are created, by a function of ours.

    As a property of the template it would keep the rollback of a failed create from deleting them: the stack would be
    stuck in ROLLBACK_FAILED (docs/infrastructure.md, "A deploy that fails").
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        tables: Sequence[str] = (),
        load_balancers: Sequence[elbv2.ApplicationLoadBalancer] = (),
    ) -> None:
        stack = Stack.of(scope)
        super().__init__(
            scope,
            construct_id,
            package="deletion_protection",
            description=f"Protects tables and load balancers of {stack.node.id} from deletion",
            timeout=_PROTECTING,
            log_name=f"deletion-protection-{stack.node.id.lower()}",
        )
        balancers = [
            stack.format_arn(
                service="elasticloadbalancing", resource="loadbalancer", resource_name=each.load_balancer_full_name
            )
            for each in load_balancers
        ]
        self.serve(
            "Protection",
            "DeletionProtection",
            {"Protected": [*tables, *(each.load_balancer_arn for each in load_balancers)]},
            _PROTECTING.plus(Duration.minutes(1)),
            {
                ("dynamodb:DescribeTable", "dynamodb:UpdateTable"): tables,
                ("elasticloadbalancing:ModifyLoadBalancerAttributes",): balancers,
                ("cloudformation:DescribeStacks",): [stack.stack_id],
            },
        )
