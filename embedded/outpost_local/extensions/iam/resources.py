"""IAM knows which resource a request names where MiniStack authorises it on `*` (gap 6).

The CDK CLI, publishing with its own narrow role, asks ECR for one repository; the control plane asks EFS for its own
file system, and writes into one log stream; a command is sent to one instance, parameters are read by name, a recovery
point is deleted. Real AWS authorises each on that resource (of several parameters on each, here on the first).
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region


def install() -> None:
    """Name the resource where MiniStack names none."""
    extract = iam_actions.extract_resource_arn

    def extract_named(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any], *rest: Any
    ) -> str:
        if service == "backup" and (point := unquote(path).partition("/recovery-points/")[2]):
            return point
        resource: str = extract(service, method, path, headers, body, query, *rest)
        # A log stream lies below the group that MiniStack names.
        return _named(service, body, query) or resource if resource == "*" or service == "logs" else resource

    iam_actions.extract_resource_arn = extract_named


def _named(service: str, body: bytes, query: Mapping[str, Any]) -> str | None:
    where = f"{get_region()}:{get_account_id()}"
    if service == "ecr" and (names := json.loads(body or b"{}").get("repositoryNames")):
        return f"arn:aws:ecr:{where}:repository/{names[0]}"
    if service == "elasticfilesystem" and (ids := query.get("FileSystemId")):
        return f"arn:aws:elasticfilesystem:{where}:file-system/{ids if isinstance(ids, str) else ids[0]}"
    if service == "ssm" and (names := json.loads(body or b"{}").get("Names")):
        return f"arn:aws:ssm:{where}:parameter/{names[0].removeprefix('/')}"
    if service == "ssm" and (instances := json.loads(body or b"{}").get("InstanceIds")):
        return f"arn:aws:ssm:{where}:managed-instance/{instances[0]}"
    if service == "logs" and (stream := (request := json.loads(body or b"{}")).get("logStreamName")):
        return f"arn:aws:logs:{where}:log-group:{request.get('logGroupName')}:log-stream:{stream}"
    return None
