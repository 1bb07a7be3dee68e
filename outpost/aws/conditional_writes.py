"""Writing an S3 object only if it is as the writer expects, under S3's two refusals.

409 `ConditionalRequestConflict` comes from another request for the same key that S3 is still handling, such as an
earlier try of ours that timed out: the write is tried again. 412 `PreconditionFailed` may be about our own earlier try,
whose response was lost: the object then holds exactly what was to be written. (Amazon S3: Adding preconditions to S3
operations with conditional requests; PutObject, If-None-Match.) Throttling and errors of S3 are retried by botocore.
"""

import base64
import time
import zlib
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import PutObjectRequestTypeDef

_CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries."""
_PIECE_BYTES = 1024 * 1024


class PreconditionFailedError(Exception):
    """The object is another one than the writer expects; nothing was written."""


def put_conditionally(
    client: "S3Client", bucket: str, key: str, body: bytes | IO[bytes], content_type: str, etag: str | None = None
) -> str:
    """Write an object that has the ETag given, or that does not exist (None). Returns the ETag written.

    A file is written from its beginning. Raises `PreconditionFailedError`, and botocore's errors; the cause of one that
    follows a conflict is the conflict, whose other write may have been carried out.
    """
    request: PutObjectRequestTypeDef = {"Bucket": bucket, "Key": key, "ContentType": content_type, "Body": body}
    request |= {"ChecksumAlgorithm": "CRC32"}
    request |= {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    pauses = iter(_CONFLICT_PAUSES)
    conflict: ClientError | None = None
    while True:
        try:
            _rewind(body)
            return client.put_object(**request)["ETag"]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PreconditionFailed":
                return _etag_of_same(client, bucket, key, body, error)
            pause = next(pauses, None)
            if code != "ConditionalRequestConflict" or pause is None:
                raise error from conflict
            conflict = error
            time.sleep(pause)


def _etag_of_same(client: "S3Client", bucket: str, key: str, body: bytes | IO[bytes], refusal: ClientError) -> str:
    """Return the ETag of the object when it holds exactly this body. Raises `PreconditionFailedError`."""
    found = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    if (found["ContentLength"], found.get("ChecksumCRC32")) != _size_and_checksum(body):
        raise PreconditionFailedError(f"s3://{bucket}/{key} holds something else") from refusal
    return found["ETag"]


def _size_and_checksum(body: bytes | IO[bytes]) -> tuple[int, str]:
    """Return the length in bytes, and the CRC32 as S3 encodes it."""
    _rewind(body)
    size = crc = 0
    for piece in (body,) if isinstance(body, bytes) else iter(lambda: body.read(_PIECE_BYTES), b""):
        size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, base64.b64encode(crc.to_bytes(4, "big")).decode()


def _rewind(body: bytes | IO[bytes]) -> None:
    if not isinstance(body, bytes):
        body.seek(0)
