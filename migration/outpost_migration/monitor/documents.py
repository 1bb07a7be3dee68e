"""JSON documents in S3, written with optimistic locking: a write names the version it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from outpost.aws.conditional_writes import PreconditionFailedError, put_conditionally

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class Frozen(BaseModel):
    """A value that is written as JSON and never changed in memory."""

    model_config = ConfigDict(frozen=True)


class Part(Frozen):
    """A part of a document, which has no other fields than these."""

    model_config = ConfigDict(extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


class DocumentChangedError(Exception):
    """The document was changed in the meantime; nothing was written."""


@dataclass(frozen=True)
class Versioned(Generic[Model]):
    """A document and the version that was read."""

    value: Model
    etag: str


class Documents:
    """The documents of one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def read(self, model: type[Model], key: str) -> Versioned[Model] | None:
        """Return a document, or None when there is none. Raises ClientError and pydantic's ValidationError."""
        try:
            response = self._client.get_object(Bucket=self.bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        return Versioned(model.model_validate_json(response["Body"].read()), response["ETag"])

    def value(self, model: type[Model], key: str) -> Model | None:
        """Return a document without its version; None when there is none. Raises as `read` does."""
        found = self.read(model, key)
        return found.value if found else None

    def values(self, model: type[Model], prefix: str) -> Iterator[Model]:
        """Yield the documents below a prefix, by key. Raises as `read` does."""
        return (found for key in self.keys(prefix) if (found := self.value(model, key)))

    def write(self, key: str, value: BaseModel, etag: str | None) -> str:
        """Write a document made from the version `etag`, or a new one (None); return the version written.

        Raises DocumentChangedError when that is not the current version, or the document exists already.
        """
        body = value.model_dump_json(indent=1).encode()
        try:
            return put_conditionally(self._client, self.bucket, key, body, "application/json", etag)
        except (PreconditionFailedError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] != "ConditionalRequestConflict":
                raise
            raise DocumentChangedError(f"s3://{self.bucket}/{key} was changed in the meantime") from error

    def replace(self, key: str, value: BaseModel) -> None:
        """Write a document whatever is there: for what is written by the holder of a lock only."""
        body = value.model_dump_json(indent=1).encode()
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
