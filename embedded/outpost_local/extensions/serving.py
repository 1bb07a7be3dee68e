"""How a service that MiniStack lacks is served: by the prefix of the X-Amz-Target header that its calls have."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json

from outpost_local.extensions.patch import Patch, around

Action = Callable[[dict[str, Any]], Any]
"""Takes the JSON of a request and returns the response."""


def new_service(name: str, target: str, actions: Mapping[str, Action], reason: str) -> tuple[Patch, ...]:
    """Return the patches that serve `actions`, by name, of requests whose X-Amz-Target begins with `target`."""

    async def serve(_method: str, _path: str, headers: Any, body: bytes, _query: Any) -> Any:
        action = headers.get("x-amz-target", "").removeprefix(target)
        if action not in actions:
            return error_response_json("InvalidAction", f"not served here: {action}", 400)
        return actions[action](json.loads(body or b"{}"))

    def detect(detect_: Callable[..., str], method: str, path: str, headers: Any, query: Any) -> str:
        ours = headers.get("x-amz-target", "").startswith(target)
        return name if ours else detect_(method, path, headers, query)

    return Patch(f"app.SERVICE_HANDLERS[{name}]", lambda _missing: serve, reason), around(
        "app.detect_service", detect, reason
    )
