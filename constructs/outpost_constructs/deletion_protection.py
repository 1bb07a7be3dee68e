"""Deletion protection that a failed first create survives."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from outpost_constructs.custom_resource import ResourceFunction

_TIMEOUT = Duration.minutes(8)
"""More than the function's waits: up to 90 seconds for refused calls, then up to 300 for tables."""


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
            timeout=_TIMEOUT,
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
            _TIMEOUT.plus(Duration.minutes(1)),
            {
                ("dynamodb:DescribeTable", "dynamodb:UpdateTable"): tables,
                ("elasticloadbalancing:ModifyLoadBalancerAttributes",): balancers,
                ("cloudformation:DescribeStacks",): [stack.stack_id],
            },
        )
