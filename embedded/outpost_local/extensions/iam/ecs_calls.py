"""IAM asks for ECS calls what AWS asks.

MiniStack authorises every ECS call that names a cluster on the cluster's ARN, never fills `ecs:cluster`, and starts
tasks with any role. On AWS, RunTask is authorised on the task definition, the task calls on the task, the service
calls on the service; `ecs:cluster` is a condition key of most; a role goes into a task only with iam:PassRole, tags
only with ecs:TagResource.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import ecs

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import around

Request = Mapping[str, Any]

_ON_TASK_DEFINITION = {"RunTask", "StartTask"}
_ON_TASKS = {"StopTask": "task", "DescribeTasks": "tasks", "ExecuteCommand": "task"}
_ON_SERVICE = {"CreateService": "serviceName", "UpdateService": "service", "DeleteService": "service"}
_PASSING_ROLES = {"RunTask", "StartTask", "CreateService", "UpdateService", "RegisterTaskDefinition"}


def _action(headers: Mapping[str, str]) -> str:
    return headers.get("x-amz-target", "").rpartition(".")[2]


def _request(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _arn(kind: str, name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:ecs:{get_region()}:{get_account_id()}:{kind}/{name}"


def _cluster_name(request: Request) -> str:
    return str(ecs._resolve_cluster_name(request.get("cluster") or "default"))


def resource_arn(action: str, request: Request) -> str | None:
    """Return the resource that AWS authorises the ECS call on, None where MiniStack's choice is right."""
    cluster = _cluster_name(request)
    if action in _ON_TASK_DEFINITION:
        found = _definition(request) or {}
        return found.get("taskDefinitionArn") or _arn("task-definition", request.get("taskDefinition", ""))
    if action in _ON_TASKS:
        named = request.get(_ON_TASKS[action])
        # Only the first of several: our roles are scoped by cluster, never by single tasks.
        task = named[0] if isinstance(named, list) and named else named
        return _arn("task", f"{cluster}/{task}" if not str(task).startswith("arn:") else str(task))
    if action in _ON_SERVICE:
        service = str(request.get(_ON_SERVICE[action], "")).rpartition("/")[2]
        return _arn("service", f"{cluster}/{service}")
    if action == "ListTasks":
        return _arn("container-instance", f"{cluster}/*")
    return None


def _definition(request: Request) -> dict[str, Any] | None:
    key = ecs._resolve_td_key(request.get("taskDefinition", ""))
    found: dict[str, Any] | None = ecs._task_defs.get(key) if key else None
    return found


def _extract(
    extract: Callable[..., str], service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
) -> str:
    resource = resource_arn(_action(headers), _request(body)) if service == "ecs" else None
    return resource or extract(service, method, path, headers, body, *rest)


def _context(
    context: Callable[..., dict[str, Any]], service: str, action: str, body: bytes, *rest: Any
) -> dict[str, Any]:
    keys = context(service, action, body, *rest)
    return keys | {"ecs:cluster": _arn("cluster", _cluster_name(_request(body)))} if service == "ecs" else keys


async def _handle(handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
    _method, _path, headers, body, query = request
    return _passing_refused(headers, _request(body), query) or await handle(*request)


def _passing_refused(headers: dict[str, str], request: Request, query: dict[str, Any]) -> Response | None:
    """Return the refusal when the caller may not give the tasks their roles or tags."""
    action = _action(headers)
    checks: list[tuple[str, str, dict[str, str]]] = []
    if action in _PASSING_ROLES:
        passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        checks += [("iam:PassRole", role, passed) for role in _roles(request)]
    if action == "RunTask" and request.get("tags"):
        created = {"ecs:CreateAction": "RunTask"}
        checks.append(("ecs:TagResource", _arn("task", f"{_cluster_name(request)}/*"), created))
    key = extract_access_key_id(headers, query)
    for needed, resource, context in checks:
        denied = iam_evaluator.enforce(key, needed, needed.partition(":")[0], get_region(), resource, context)
        if denied:
            response: Response = iam_actions.access_denied_response(
                "ecs", needed, denied.principal_arn, new_uuid(), headers=headers, resource_arn=resource
            )
            return response
    return None


def _roles(request: Request) -> set[str]:
    sources = [request, request.get("overrides") or {}, _definition(request) or {}]
    return {source[key] for source in sources for key in ("taskRoleArn", "executionRoleArn") if source.get(key)}


PATCHES = (
    around("core.iam_actions.extract_resource_arn", _extract, "RunTask is authorised on the cluster"),
    around("core.iam_actions.request_tag_context", _context, "ecs:cluster is not filled"),
    around("services.ecs.handle_request", _handle, "RunTask starts tasks with any role"),
)
