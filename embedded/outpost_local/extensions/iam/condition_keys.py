"""IAM knows the condition keys of what we call, which MiniStack never fills.

- `cloudwatch:namespace` of PutMetricData.
- `kms:SigningAlgorithm` and `kms:MessageType` of Sign and Verify have the values of the parameters of the same names,
  RAW for a message type that is not given (AWS KMS Developer Guide: "AWS KMS condition keys"; AWS KMS API Reference:
  Sign).
- `s3:if-none-match` and `s3:if-match` are there if the request has the header. `s3:ObjectCreationOperation` is false
  for what creates no object yet, CreateMultipartUpload, UploadPart and UploadPartCopy, and true for PutObject,
  CopyObject and CompleteMultipartUpload (Amazon S3 User Guide: "Enforce conditional writes on Amazon S3 buckets").
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from outpost_local.extensions.patch import around

AFTER = ("iam.ecs_calls",)

_HEADERS = ("if-none-match", "if-match")
_NO_OBJECT_YET = ("uploads", "partNumber")
"""Parameters of CreateMultipartUpload, and of UploadPart and UploadPartCopy."""

Keys = dict[str, Any]


def _of_metrics(context: Callable[..., Keys], service: str, action: str, body: bytes, *rest: Any) -> Keys:
    keys = context(service, action, body, *rest)
    return keys | {"cloudwatch:namespace": _namespace(body)} if action == "cloudwatch:PutMetricData" else keys


def _namespace(body: bytes) -> str:
    """Read it from either of the protocols that the SDK speaks here."""
    if body[:1] == b"{":
        return str(json.loads(body).get("Namespace", ""))
    return parse_qs(body.decode()).get("Namespace", [""])[0]


def _of_signing(context: Callable[..., Keys], service: str, action: str, body: bytes, *rest: Any) -> Keys:
    keys = context(service, action, body, *rest)
    if action not in ("kms:Sign", "kms:Verify"):
        return keys
    request = json.loads(body or b"{}")
    algorithm = request.get("SigningAlgorithm")
    signing = {"kms:SigningAlgorithm": algorithm} if algorithm else {}
    return keys | signing | {"kms:MessageType": request.get("MessageType", "RAW")}


def _of_object_writes(
    context: Callable[..., Keys],
    action: str,
    query: Mapping[str, Any] | None,
    path: str = "",
    headers: Mapping[str, str] | None = None,
) -> Keys:
    keys = context(action, query, path, headers)
    if action != "s3:PutObject":
        return keys
    creates = not any(name in (query or {}) for name in _NO_OBJECT_YET)
    conditions = {f"s3:{name}": headers[name] for name in _HEADERS if headers and headers.get(name)}
    return keys | {"s3:ObjectCreationOperation": str(creates).lower()} | conditions


_CONTEXT = "core.iam_actions.request_tag_context"

PATCHES = (
    around(_CONTEXT, _of_metrics, "cloudwatch:namespace is not filled"),
    around(_CONTEXT, _of_signing, "kms:SigningAlgorithm is not filled"),
    around("core.iam_actions.s3_service_context", _of_object_writes, "s3:if-none-match is not filled"),
)
