"""Lambda refuses what is too large or too much: MiniStack takes any payload, call and reader that the machine bears.

A request or response has at most 6 MB, an asynchronous request 1 MB (AWS Lambda Developer Guide: "Lambda quotas"; API
Reference: Invoke, RequestTooLargeException). A new account may run 10 functions at once (same page: "New AWS accounts
have reduced concurrency"); a further synchronous call gets TooManyRequestsException, asynchronous ones are repeated.

"No more than two processes at most should be reading from the same stream's shard at the same time. Having more than
two readers per shard can result in throttling." (Amazon DynamoDB Developer Guide: "Change data capture for DynamoDB
Streams".) Here the third event source mapping of a stream, and each further one, is throttled for good: its function is
never called.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from ministack.core.responses import error_response_json

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

AFTER = ("kms.permissions",)

_SYNCHRONOUS, _ASYNCHRONOUS = 6 * 1024 * 1024, 1024 * 1024


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Check sizes around each invocation; bound the account's concurrency and a stream's readers if given."""
    realism, module = settings.realism, "services.lambda_svc"
    most_at_once = realism.function_concurrency or (10 if realism.new_account else 0)
    patches_ = [around(f"{module}._invoke", _invoke, "payloads may have any size")]
    if most_at_once:
        reason = "an account runs any number of functions"
        patches_.append(Patch(f"{module}._ACCOUNT_CONCURRENCY_CAP", lambda _: most_at_once, reason))
    if realism.stream_readers:
        readable = partial(limited, realism.stream_readers)
        patches_.append(around(f"{module}._iter_all_esms", readable, "a stream has any number of readers"))
    return tuple(patches_)


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


Mappings = Iterator[tuple[str, str, dict[str, Any]]]

_RESULT = "PROBLEM: the stream's shard has more than {} readers; GetRecords is throttled"


def limited(most: int, mappings: Callable[[], Mappings]) -> Mappings:
    """Yield the mappings without those that are throttled; they are in the order of their creation."""
    readers: Counter[str] = Counter()
    for account, region, mapping in mappings():
        source = mapping.get("EventSourceArn", "")
        if mapping.get("Enabled", True) and ":dynamodb:" in source:
            readers[source] += 1
            if readers[source] > most:
                mapping["LastProcessingResult"] = _RESULT.format(most)
                continue
        yield account, region, mapping
