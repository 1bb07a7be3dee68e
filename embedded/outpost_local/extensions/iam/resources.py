"""IAM knows which resource a request names where MiniStack authorises it on `*`.

The CDK CLI, publishing with its own narrow role, asks ECR for one repository; the control plane asks EFS for its own
file system, and writes into one log stream; a command is sent to one instance, parameters are read by name, a recovery
point is deleted. Real AWS authorises each on that resource (of several parameters on each, here on the first).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from ministack.core.responses import get_account_id, get_region

from outpost_local.extensions.patch import around


def _extract(
    extract: Callable[..., str],
    service: str,
    method: str,
    path: str,
    headers: Any,
    body: bytes,
    query: Mapping[str, Any],
    *rest: Any,
) -> str:
    if service == "backup" and (point := unquote(path).partition("/recovery-points/")[2]):
        return point
    resource = extract(service, method, path, headers, body, query, *rest)
    # A log stream lies below the group that MiniStack names.
    return _named(service, body, query) or resource if resource == "*" or service == "logs" else resource


def _named(service: str, body: bytes, query: Mapping[str, Any]) -> str | None:
    ids = query.get("FileSystemId") if service == "elasticfilesystem" else None
    request = json.loads(body or b"{}") if service in ("ecr", "ssm", "logs") else {}
    name = None
    if ids:
        name = f"file-system/{ids if isinstance(ids, str) else ids[0]}"
    elif service == "ecr" and (names := request.get("repositoryNames")):
        name = f"repository/{names[0]}"
    elif service == "ssm" and (names := request.get("Names")):
        name = f"parameter/{names[0].removeprefix('/')}"
    elif service == "ssm" and (instances := request.get("InstanceIds")):
        name = f"managed-instance/{instances[0]}"
    elif service == "logs" and (stream := request.get("logStreamName")):
        name = f"log-group:{request.get('logGroupName')}:log-stream:{stream}"
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{name}" if name else None


PATCHES = (around("core.iam_actions.extract_resource_arn", _extract, "DescribeRepositories is authorised on *"),)
