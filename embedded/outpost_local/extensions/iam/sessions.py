"""AssumeRole keeps its duration limits: MiniStack lets a chained session run for as long as it asks.

On AWS a session made with the credentials of another role's session lasts at most one hour, and no session lasts longer
than its role's MaxSessionDuration.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from ministack.core.router import extract_access_key_id
from ministack.services import iam, sts

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import around

CHAINED_SECONDS = 3600
_DEFAULT_MAX_SECONDS = 3600


async def _handle(handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
    _method, _path, headers, body, query = request
    parameters = read_request(headers, body, query)
    if parameters.get("Action") == "AssumeRole":
        problem = _duration_problem(parameters, chained=extract_access_key_id(headers, query) in sts._sessions)
        if problem:
            return sts._error(400, "ValidationError", problem, ns="sts")  # type: ignore[no-any-return]
    return await handle(*request)


def read_request(headers: dict[str, str], body: bytes, query: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request in either of the protocols that SDKs speak to STS."""
    target = headers.get("x-amz-target", "")
    if target:
        return {**json.loads(body or b"{}"), "Action": target.rpartition(".")[2]}
    merged = {**query, **parse_qs(body.decode(errors="replace"))}
    return {key: value[0] if isinstance(value, list) else value for key, value in merged.items()}


def _duration_problem(request: dict[str, Any], *, chained: bool) -> str | None:
    seconds = int(request.get("DurationSeconds") or 3600)
    if chained and seconds > CHAINED_SECONDS:
        return "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    role = iam._roles.get(str(request.get("RoleArn", "")).rpartition("/")[2]) or {}
    if seconds > int(role.get("MaxSessionDuration", _DEFAULT_MAX_SECONDS)):
        return "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    return None


PATCHES = (around("services.sts.handle_request", _handle, "a chained session lasts two hours"),)
