"""IAM knows which repository DescribeRepositories asks for (gap 6).

MiniStack authorises it on `*`, so the CDK CLI, publishing with its own narrow role, is refused.
"""

import json
from typing import Any

from ministack.core import iam_actions

from outpost.local.settings import ACCOUNT, REGION


def install() -> None:
    """Name the repository as the resource."""
    extract = iam_actions.extract_resource_arn

    def extract_with_repository(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        resource: str = extract(service, method, path, headers, body, *rest)
        if service == "ecr" and resource == "*":
            names = json.loads(body or b"{}").get("repositoryNames")
            if names:
                return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{names[0]}"
        return resource

    iam_actions.extract_resource_arn = extract_with_repository
