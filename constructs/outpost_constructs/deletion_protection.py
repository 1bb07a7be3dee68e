"""Deletion protection that a failed first create survives."""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_ops.config import EnvironmentConfig

_TIMEOUT = Duration.minutes(8)
"""More than the function's waits: up to 90 seconds for refused calls, then up to 300 for tables."""


class DeletionProtection(Construct):
    """Protects tables and load balancers of its stack after they are created, by a function of ours.

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
        config: EnvironmentConfig,
    ) -> None:
        """Take the tables' ARNs, and the load balancers."""
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        function = OutpostFunction(
            self,
            "Function",
            package="deletion_protection",
            description=f"Protects tables and load balancers of {stack.node.id} from deletion",
            timeout=_TIMEOUT,
            environment={},
            config=config,
            log_group=ExpiringLogGroup(
                self, "FunctionLogs", config=config, name=f"deletion-protection-{stack.node.id.lower()}"
            ),
        )
        allowed = {
            ("dynamodb:DescribeTable", "dynamodb:UpdateTable"): tables,
            ("elasticloadbalancing:ModifyLoadBalancerAttributes",): [
                stack.format_arn(
                    service="elasticloadbalancing", resource="loadbalancer", resource_name=each.load_balancer_full_name
                )
                for each in load_balancers
            ],
            ("cloudformation:DescribeStacks",): [stack.stack_id],
        }
        protection = CustomResource(
            self,
            "Protection",
            resource_type="Custom::DeletionProtection",
            service_token=function.function_arn,
            service_timeout=_TIMEOUT.plus(Duration.minutes(1)),
            properties={"Protected": [*tables, *(each.load_balancer_arn for each in load_balancers)]},
        )
        for actions, arns in allowed.items():
            if arns:
                grant = iam.Grant.add_to_principal(grantee=function, actions=list(actions), resource_arns=list(arns))
                grant.apply_before(protection)
