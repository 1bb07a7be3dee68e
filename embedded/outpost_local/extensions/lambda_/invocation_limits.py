"""Lambda refuses what is too large or too much: MiniStack takes any payload, and as many calls as the machine bears.

A request or response has at most 6 MB, an asynchronous request 1 MB (AWS Lambda Developer Guide: "Lambda quotas"; API
Reference: Invoke, RequestTooLargeException). A new account may run 10 functions at once (same page: "New AWS accounts
have reduced concurrency"); a further synchronous call gets TooManyRequestsException, asynchronous ones are repeated.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

_SYNCHRONOUS, _ASYNCHRONOUS = 6 * 1024 * 1024, 1024 * 1024


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Check sizes around each invocation, and bound the account's concurrency if a number is given."""
    realism = settings.realism
    sizes = around("services.lambda_svc._invoke", _invoke, "payloads may have any size")
    most_at_once = realism.function_concurrency or (10 if realism.new_account else 0)
    if not most_at_once:
        return (sizes,)
    target = "services.lambda_svc._ACCOUNT_CONCURRENCY_CAP"
    return sizes, Patch(target, lambda _: most_at_once, "an account runs any number of functions")


async def _invoke(
    invoke: Callable[..., Awaitable[Response]], name: str, event: Any, headers: dict[str, str], *rest: Any
) -> Response:
    most = _ASYNCHRONOUS if headers.get("x-amz-invocation-type") == "Event" else _SYNCHRONOUS
    if len(json.dumps(event, ensure_ascii=False).encode()) > most:
        message = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
        return error_response_json("RequestTooLargeException", message, 413)  # type: ignore[no-any-return]
    status, response_headers, body = await invoke(name, event, headers, *rest)
    if len(body) <= _SYNCHRONOUS:
        return status, response_headers, body
    message = f"Response payload size exceeded maximum allowed payload size ({_SYNCHRONOUS} bytes)."
    error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
    return status, response_headers | {"X-Amz-Function-Error": "Unhandled"}, json.dumps(error).encode()
