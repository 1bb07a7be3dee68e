"""IAM knows whether a write to S3 is conditional: MiniStack fills in none of these condition keys.

`s3:if-none-match` and `s3:if-match` are there if the request has the header. `s3:ObjectCreationOperation` is false for
what creates no object yet, CreateMultipartUpload, UploadPart and UploadPartCopy, and true for PutObject, CopyObject and
CompleteMultipartUpload (Amazon S3 User Guide: "Enforce conditional writes on Amazon S3 buckets").
"""

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions

_HEADERS = ("if-none-match", "if-match")
_NO_OBJECT_YET = ("uploads", "partNumber")
"""Parameters of CreateMultipartUpload, and of UploadPart and UploadPartCopy."""


def install() -> None:
    """Add the keys to those of MiniStack."""
    context_of = iam_actions.s3_service_context

    def s3_service_context(
        iam_action: str,
        query_params: Mapping[str, Any] | None,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        context: dict[str, Any] = context_of(iam_action, query_params, path, headers)
        if iam_action != "s3:PutObject":
            return context
        creates = not any(name in (query_params or {}) for name in _NO_OBJECT_YET)
        conditions = {f"s3:{name}": headers[name] for name in _HEADERS if headers and headers.get(name)}
        return context | {"s3:ObjectCreationOperation": str(creates).lower()} | conditions

    iam_actions.s3_service_context = s3_service_context
