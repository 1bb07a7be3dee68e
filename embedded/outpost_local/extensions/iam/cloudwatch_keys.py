"""IAM knows which namespace PutMetricData writes to (gap 6): MiniStack never fills `cloudwatch:namespace`."""

import json
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions

_KEY = "cloudwatch:namespace"


def install() -> None:
    """Fill the condition key."""
    context = iam_actions.request_tag_context

    def context_with_namespace(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        keys: dict[str, Any] = context(service, action, body, params)
        return {**keys, _KEY: _namespace(body)} if action == "cloudwatch:PutMetricData" else keys

    iam_actions.request_tag_context = context_with_namespace


def _namespace(body: bytes) -> str:
    """Read it from either of the protocols that the SDK speaks here."""
    if body[:1] == b"{":
        return str(json.loads(body).get("Namespace", ""))
    return parse_qs(body.decode()).get("Namespace", [""])[0]
