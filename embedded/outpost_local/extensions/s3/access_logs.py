"""A bucket with access logs writes a record of each batch delete into their bucket, after the delete.

MiniStack drops LoggingConfiguration and writes nothing. On AWS records of every request arrive within hours; those of
batch deletes show whether a bucket for logs is emptied before the buckets that log into it. Source: S3 User Guide,
"Logging requests with server access logging".
"""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, Response, checked

_KIND = "AWS::S3::Bucket"


def install() -> None:
    """Set the logging status of a template's buckets, and write records."""
    handlers, delete_objects = provisioners._RESOURCE_HANDLERS[_KIND], s3._delete_objects
    for operation, position in (("create", 1), ("update", 2)):
        handlers[operation] = _logging(handlers[operation], position)

    def delete_objects_logged(bucket: str, *rest: Any) -> Response:
        response: Response = delete_objects(bucket, *rest)
        _write_record(bucket)
        return response

    s3._delete_objects = delete_objects_logged


def _logging(handler: Callable[..., Created], position: int) -> Callable[..., Created]:
    """Wrap a handler whose argument at `position` has the bucket's new properties."""

    def handle(*arguments: Any, **options: Any) -> Created:
        name, attributes = handler(*arguments, **options)
        checked(s3._put_bucket_logging(name, _status(name, arguments[position]).encode()))
        return name, attributes

    return handle


def _status(name: str, props: Properties) -> str:
    logging = props.get("LoggingConfiguration")
    if not logging:
        return f'<BucketLoggingStatus xmlns="{s3.S3_NS}"/>'
    target, prefix = logging.get("DestinationBucketName", name), logging.get("LogFilePrefix", "")
    members = f"<TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>"
    return f'<BucketLoggingStatus xmlns="{s3.S3_NS}"><LoggingEnabled>{members}</LoggingEnabled></BucketLoggingStatus>'


def _write_record(bucket: str) -> None:
    status = s3._bucket_logging_config.get(bucket) or ""
    target = re.search(r"<TargetBucket>([^<]*)</TargetBucket>", status)
    if target and target[1] in s3._buckets:
        prefix = re.search(r"<TargetPrefix>([^<]*)</TargetPrefix>", status)
        key = f"{prefix[1] if prefix else ''}{uuid4().hex}"
        checked(s3._put_object(target[1], key, f"{bucket} REST.POST.MULTI_OBJECT_DELETE\n".encode(), {}))
