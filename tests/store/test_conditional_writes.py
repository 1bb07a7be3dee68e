"""Conditional writes to S3 through a relay that refuses as S3 documents it."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pydantic import BaseModel

from outpost.aws import conditional_writes
from outpost.aws.conditional_writes import PreconditionFailedError, put_conditionally
from outpost.domain.ids import new_id
from outpost_migration.monitor.documents import DocumentChangedError, Documents
from tests.conftest import CREDENTIALS
from tests.contract.relay import Fault, Relay, loses_the_response, once, relay


def s3_error(status: int, code: str) -> Fault:
    """Return an error as S3 spells it, and let nothing reach S3."""
    body = f"<Error><Code>{code}</Code><Message>spoilt</Message></Error>".encode()
    return lambda _: (status, body, {"Content-Type": "application/xml"})


CONFLICT = s3_error(409, "ConditionalRequestConflict")


class Bucket:
    """A bucket behind a relay."""

    def __init__(self, way: Relay) -> None:
        self.way = way
        self.name = f"writes-{new_id().lower()}"
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in CREDENTIALS.items():
                patch.setenv(variable, value)
            self.client: Any = boto3.Session().client("s3", endpoint_url=way.url)
        self.client.create_bucket(Bucket=self.name)

    def put(self, body: bytes | io.BytesIO, etag: str | None = None) -> str:
        return put_conditionally(self.client, self.name, "key", body, "text/plain", etag)

    @property
    def stored(self) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key="key")["Body"].read()
        return body


@pytest.fixture(scope="module")
def way(emulator: str) -> Iterator[Relay]:
    with relay(emulator) as way:
        yield way


@pytest.fixture
def bucket(way: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(conditional_writes, "_CONFLICT_PAUSES", (0.01, 0.01))
    yield Bucket(way)
    way.faults.clear()


@pytest.mark.parametrize(
    "fault",
    [CONFLICT, s3_error(503, "SlowDown"), s3_error(500, "InternalError"), loses_the_response],
    ids=["conflict", "throttled", "internal error", "lost response"],
)
@pytest.mark.parametrize("kind", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_a_write_survives_a_refusal_that_passes(bucket: Bucket, kind: Callable[[bytes], Any], fault: Fault) -> None:
    bucket.way.faults["PUT"] = once(fault)
    bucket.put(kind(b"ours"))
    assert bucket.stored == b"ours"


@pytest.mark.parametrize("theirs", [b"something else", b"ouch"], ids=["other size", "same size"])
def test_what_another_wrote_is_neither_replaced_nor_taken_for_ours(bucket: Bucket, theirs: bytes) -> None:
    bucket.put(theirs)
    with pytest.raises(PreconditionFailedError):
        bucket.put(b"ours")
    assert bucket.stored == theirs


def test_a_conflict_that_does_not_pass_is_an_error(bucket: Bucket) -> None:
    bucket.way.faults["PUT"] = CONFLICT
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        bucket.put(b"ours")


class Note(BaseModel):
    """A document."""

    text: str


@pytest.mark.parametrize("fault", [CONFLICT, loses_the_response], ids=["conflict", "lost response"])
def test_a_document_is_not_reported_as_changed_by_others_when_only_we_wrote(bucket: Bucket, fault: Fault) -> None:
    documents = Documents(bucket.client, bucket.name)
    first = documents.write("note", Note(text="first"), None)
    bucket.way.faults["PUT"] = once(fault)
    second = documents.write("note", Note(text="second"), first)
    assert second != first
    with pytest.raises(DocumentChangedError):
        documents.write("note", Note(text="third"), first)
