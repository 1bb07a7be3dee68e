"""Application Auto Scaling's scalable targets can be read and changed (extends gap 1): MiniStack lacks the service.

Targets are those of `scaling_types`. Nothing scales, but a service is kept in its range.
"""

import json
from typing import Any

from ministack import app
from ministack.core.responses import error_response_json, json_response

from outpost_local.extensions.ecs.scaling_types import recorded
from outpost_local.extensions.ecs.service_capacity import keep_in_range

SERVICE = "application-autoscaling"
_TARGET = "AnyScaleFrontendService."


def install() -> None:
    """Serve the calls that we use; the router takes them for another service's."""
    app.SERVICE_HANDLERS[SERVICE] = _serve
    detect = app.detect_service

    def detect_more(method: str, path: str, headers: Any, query: Any) -> str:
        if headers.get("x-amz-target", "").startswith(_TARGET):
            return SERVICE
        service: str = detect(method, path, headers, query)
        return service

    app.detect_service = detect_more


async def _serve(_method: str, _path: str, headers: Any, body: bytes, _query: Any) -> Any:
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    request = json.loads(body or b"{}")
    if action == "DescribeScalableTargets":
        return json_response({"ScalableTargets": _targets(request)})
    if action == "RegisterScalableTarget":
        return _register(request)
    return error_response_json("InvalidAction", f"not served here: {action}", 400)


def _targets(request: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = request.get("ResourceIds")
    return [
        {
            "ServiceNamespace": target["ServiceNamespace"],
            "ResourceId": target["ResourceId"],
            "ScalableDimension": target["ScalableDimension"],
            "MinCapacity": int(target["MinCapacity"]),
            "MaxCapacity": int(target["MaxCapacity"]),
            "RoleARN": str(target.get("RoleARN", "")),
            "CreationTime": 0,
        }
        for target in recorded.values()
        if "MinCapacity" in target and (not wanted or target["ResourceId"] in wanted)
    ]


def _register(request: dict[str, Any]) -> Any:
    key = "|".join(request[name] for name in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
    known = recorded.get(key)
    if known is None and not {"MinCapacity", "MaxCapacity"} <= set(request):
        return error_response_json("ValidationException", "MinCapacity and MaxCapacity are needed", 400)
    recorded[key] = {**(known or {}), **request}
    keep_in_range(recorded[key])
    return json_response({})
