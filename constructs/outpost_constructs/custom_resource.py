"""Functions that CloudFormation calls during a deploy, for what it cannot do itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import CustomResource, Duration
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow


class ResourceFunction(OutpostFunction):
    """Serves one custom resource, which exists once its permissions do. A deploy reports its errors, not an alarm."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        package: str,
        description: str,
        timeout: Duration,
        log_name: str | None = None,
    ) -> None:
        super().__init__(
            scope, construct_id, package=package, description=description, timeout=timeout, log_name=log_name
        )

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
