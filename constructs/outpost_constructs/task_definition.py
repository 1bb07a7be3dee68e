"""What the control plane's and the workers' task definitions have in common."""

from aws_cdk import aws_ecs as ecs
from constructs import Construct

from outpost_constructs.cdk_enums import runtime_platform
from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, acknowledge, acknowledge_wildcard


class OutpostTaskDefinition(ecs.FargateTaskDefinition):
    """A Fargate task of the configured architecture, with a task role and an execution role of its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cpu: int,
        memory: int,
        family: str | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            cpu=cpu,
            memory_limit_mib=memory,
            family=family,
            runtime_platform=runtime_platform(scope),
        )
        acknowledge(self, "ECS2", "The variables are names of resources; secrets are read at run time, by ARN")
        acknowledge_wildcard(self.obtain_execution_role(), "*", KNOWS_NO_RESOURCE)
