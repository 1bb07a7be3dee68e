"""CloudFormation's buckets have the encryption and the access logs of their template: MiniStack drops both.

A trail into a bucket with a Bucket Key needs more of the key's policy than another (aws-cdk#23391). On AWS access logs
have records of every request within hours; here each batch delete writes one, after the delete, which shows whether a
bucket for logs is emptied before the buckets that log into it. Source: S3 User Guide, "Logging requests with server
access logging".

A conditional write may get 409: MiniStack runs every write at once, so that no two ever overlap. "If a conflicting
operation occurs during the upload S3 returns a 409 ConditionalRequestConflict response. On a 409 failure you should
retry the upload." (Amazon S3 API Reference: PutObject, CompleteMultipartUpload.) No SDK does so by itself. Here a
seeded share of the writes with If-None-Match or If-Match gets it, and nothing is stored.
"""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Properties, Response, after_write, checked
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

_KIND = "AWS::S3::Bucket"
_CONFLICT = "The conditional request cannot succeed due to a conflicting operation against this resource."


def _encrypt(name: str, props: Properties) -> None:
    rules = props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration")
    if rules and all(map(_is_known, rules)):
        members = "".join(f"<Rule>{_default(rule)}{_bucket_key(rule)}</Rule>" for rule in rules)
        document = f"<ServerSideEncryptionConfiguration>{members}</ServerSideEncryptionConfiguration>"
        checked(s3._put_bucket_encryption(name, document.encode()))
    else:
        s3._bucket_encryption.pop(name, None)  # back to the default, which S3 applies itself


def _is_known(rule: Properties) -> bool:
    """Return whether MiniStack can encrypt so: it has no key `aws/s3`, which KMS means without a key's id."""
    default = rule.get("ServerSideEncryptionByDefault", {})
    return default.get("SSEAlgorithm") != "aws:kms" or "KMSMasterKeyID" in default


def _default(rule: Properties) -> str:
    default = rule.get("ServerSideEncryptionByDefault", {})
    members = "".join(f"<{name}>{value}</{name}>" for name, value in default.items())
    return f"<ApplyServerSideEncryptionByDefault>{members}</ApplyServerSideEncryptionByDefault>"


def _bucket_key(rule: Properties) -> str:
    return f"<BucketKeyEnabled>{str(provisioners._cfn_bool(rule.get('BucketKeyEnabled'))).lower()}</BucketKeyEnabled>"


def _log(name: str, props: Properties) -> None:
    logging, members = props.get("LoggingConfiguration"), ""
    if logging:
        target, prefix = logging.get("DestinationBucketName", name), logging.get("LogFilePrefix", "")
        members = f"<TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>"
        members = f"<LoggingEnabled>{members}</LoggingEnabled>"
    document = f'<BucketLoggingStatus xmlns="{s3.S3_NS}">{members}</BucketLoggingStatus>'
    checked(s3._put_bucket_logging(name, document.encode()))


def _delete_objects(delete: Callable[..., Response], bucket: str, *rest: Any) -> Response:
    response = delete(bucket, *rest)
    status = s3._bucket_logging_config.get(bucket) or ""
    target = re.search(r"<TargetBucket>([^<]*)</TargetBucket>", status)
    if target and target[1] in s3._buckets:
        prefix = re.search(r"<TargetPrefix>([^<]*)</TargetPrefix>", status)
        key = f"{prefix[1] if prefix else ''}{uuid4().hex}"
        checked(s3._put_object(target[1], key, f"{bucket} REST.POST.MULTI_OBJECT_DELETE\n".encode(), {}))
    return response


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Draw the conflicts of conditional writes before their conditions are checked."""
    realism = settings.realism
    random = realism.random("object_conflicts")

    def check_overlap(check: Callable[..., Any], headers: dict[str, str], existing: dict[str, Any] | None) -> Any:
        conditional = headers.get("if-none-match") or headers.get("if-match")
        if conditional and random.random() < realism.object_conflicts:
            return s3._error("ConditionalRequestConflict", _CONFLICT, 409)
        return check(headers, existing)

    return (around("services.s3._check_put_preconditions", check_overlap, "conditional writes never conflict"),)


PATCHES = (
    *after_write(_KIND, _encrypt, "a bucket's encryption is dropped"),
    *after_write(_KIND, _log, "a bucket's access logs are dropped"),
    around("services.s3._delete_objects", _delete_objects, "access logs have no records"),
)
