"""What IAM knows of a request, and what it logs of a refusal.

- Every refused call is in the server's log: CloudTrail, where AWS shows them, records only what succeeds here.
- The loopback link counts as encrypted. AWS endpoints are HTTPS; this gateway speaks plain HTTP on 127.0.0.1. Policies
  that deny `aws:SecureTransport` = false, as every bucket with enforced TLS has, would refuse all calls.
- The resource, where MiniStack authorises a request on `*`: the CDK CLI, publishing with its own narrow role, asks ECR
  for one repository; the control plane asks EFS for its own file system, and writes into one log stream; a command is
  sent to one instance, parameters are read by name (AWS authorises each, here the first), a recovery point is deleted.
- The condition keys that MiniStack never fills: `cloudwatch:namespace` of PutMetricData; `kms:SigningAlgorithm` and
  `kms:MessageType` of Sign and Verify, with the values of the parameters of the same names, RAW for a message type that
  is not given (AWS KMS Developer Guide: "AWS KMS condition keys"; AWS KMS API Reference: Sign); `s3:if-none-match` and
  `s3:if-match` if the request has the header; `s3:ObjectCreationOperation`, false for what creates no object yet,
  CreateMultipartUpload, UploadPart and UploadPartCopy, and true for PutObject, CopyObject and CompleteMultipartUpload
  (Amazon S3 User Guide: "Enforce conditional writes on Amazon S3 buckets").
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from ministack.core.responses import get_account_id, get_region

from outpost_local.extensions.patch import around

logger = logging.getLogger("outpost.iam")


def _log_denial(respond: Callable[..., Any], *request: Any, **options: Any) -> Any:
    service, action, principal = request[:3]
    resource = options.get("resource_arn", "*")
    logger.warning("denied %s on %s to %s", action or service, resource, principal or options.get("error_code"))
    return respond(*request, **options)


def _pin_secure(pin: Callable[[str, bool], None], source_ip: str, _secure_transport: bool) -> None:
    pin(source_ip, True)


def _extract(extract: Callable[..., str], service: str, method: str, path: str, *rest: Any) -> str:
    if service == "backup" and (point := unquote(path).partition("/recovery-points/")[2]):
        return point
    resource = extract(service, method, path, *rest)
    _headers, body, query = rest[:3]
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
    around("core.iam_actions.access_denied_response", _log_denial, "refused calls are not logged"),
    around("app.pin_request_origin", _pin_secure, "plain HTTP is denied as such"),
    around("core.iam_actions.extract_resource_arn", _extract, "DescribeRepositories is authorised on *"),
    around(_CONTEXT, _of_metrics, "cloudwatch:namespace is not filled"),
    around(_CONTEXT, _of_signing, "kms:SigningAlgorithm is not filled"),
    around("core.iam_actions.s3_service_context", _of_object_writes, "s3:if-none-match is not filled"),
)
