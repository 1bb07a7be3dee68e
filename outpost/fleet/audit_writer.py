"""Writes a chain of audit records: to CloudWatch Logs, else to the audit bucket; and signs checkpoints of its head.

A batch that CloudWatch Logs refuses, or does not take in time, is set aside as an object of the bucket, where it
outlives the writer; readers of the audit log read both. What neither takes stays with the writer.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.audit import Chain, Fields, Line, batches
from outpost.domain.audit_checkpoint import RECORDS, Checkpoint, Head, day, encoded, signing_input
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_kms.client import KMSClient
    from types_boto3_logs.client import CloudWatchLogsClient
    from types_boto3_logs.type_defs import PutLogEventsResponseTypeDef
    from types_boto3_s3.client import S3Client

CONFIG = CLIENT_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
)
"""A call ends within ten seconds: a service that stops has half a minute for what waits."""


class UndeliveredError(Exception):
    """Neither CloudWatch Logs nor the audit bucket took the records: they wait."""


@dataclass(frozen=True)
class AuditPlace:
    """Where the audit log of an environment is."""

    environment: str
    group: str
    bucket: str
    key: str
    """ARN of the key that signs checkpoints."""

    @classmethod
    def from_environment(cls) -> "AuditPlace":
        """Return what the deployment names. Raises `KeyError` naming a variable that is missing."""
        names = (Env.ENVIRONMENT, Env.AUDIT_LOG_GROUP, Env.AUDIT_BUCKET, Env.AUDIT_KEY)
        return cls(*(os.environ[name] for name in names))


@dataclass(frozen=True)
class AuditClients:
    """Connections to what an audit log is kept in."""

    logs: "CloudWatchLogsClient"
    s3: "S3Client"
    kms: "KMSClient"

    @classmethod
    def connect(cls) -> "AuditClients":
        """Connect as the environment says."""
        return cls(
            boto3.client("logs", config=CONFIG), boto3.client("s3", config=CONFIG), boto3.client("kms", config=CONFIG)
        )


class AuditWriter:
    """The writer of one chain; for one thread.

    `clock` returns milliseconds; `period` is that of the checkpoints, none for a writer that signs after each write
    because it does not learn of its end; `waiting` bounds the records that its owner keeps.
    """

    def __init__(
        self,
        place: AuditPlace,
        clients: AuditClients,
        kind: str,
        *,
        clock: Callable[[], int],
        period: int | None = None,
        waiting: int = 0,
    ) -> None:
        self._place, self._clients, self._clock = place, clients, clock
        self._period, self._waiting = period, waiting
        self.chain = Chain(kind, at=clock())
        self.pending: list[Line] = []
        """Linked records that are not written yet."""
        self._has_stream = False
        self._logs_failed = False
        self._stored = self._head()
        self._number = 0
        self._unstored: tuple[Checkpoint, str] | None = None
        self.checkpoint_due: int = self.chain.at
        """When to sign the next checkpoint, in milliseconds."""

    def add(self, records: Sequence[tuple[int, Fields]]) -> None:
        """Link records, each with its time in milliseconds; `deliver` writes them."""
        self.pending += [self.chain.link(fields, at) for at, fields in records]

    def deliver(self, *, hurry: bool = False) -> int:
        """Write what is pending; return how many records were set aside.

        In a hurry CloudWatch Logs is not called again when its last call failed. Raises `UndeliveredError`.
        """
        aside = 0
        for batch in list(batches(self.pending)):
            left = batch if hurry and self._logs_failed else self._put_events(batch)
            if left:
                self._set_aside(left)
                aside += len(left)
            del self.pending[: len(batch)]
        return aside

    def _put_events(self, batch: list[Line]) -> list[Line]:
        """Write to CloudWatch Logs; return the lines that it did not take."""
        group, stream, logs = self._place.group, self.chain.stream, self._clients.logs
        self._logs_failed = True
        try:
            if not self._has_stream:
                self._create_stream()
            response = logs.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=[{"timestamp": line.at, "message": line.text} for line in batch],
            )
        except ClientError as error:
            # A deleted stream is created again with the next batch.
            self._has_stream = error.response["Error"]["Code"] != "ResourceNotFoundException"
            return batch
        except BotoCoreError:
            return batch
        self._logs_failed = False
        return _rejected(batch, response)

    def _create_stream(self) -> None:
        logs = self._clients.logs
        with suppress(logs.exceptions.ResourceAlreadyExistsException):  # the response to an earlier call was lost
            logs.create_log_stream(logGroupName=self._place.group, logStreamName=self.chain.stream)
        self._has_stream = True

    def _set_aside(self, lines: list[Line]) -> None:
        first, last = lines[0], lines[-1]
        name = f"{day(first.at)}/{self.chain.id}-{first.seq:010}-{last.seq:010}.jsonl"
        self._put_object(f"{RECORDS}{name}", "".join(f"{line.text}\n" for line in lines), "application/jsonl")

    def _put_object(self, key: str, body: str, content_type: str) -> None:
        try:
            self._clients.s3.put_object(
                Bucket=self._place.bucket, Key=key, Body=body.encode(), ContentType=content_type
            )
        except (BotoCoreError, ClientError) as error:
            raise UndeliveredError(f"s3://{self._place.bucket}/{key} was not written: {error}") from error

    def checkpoint(self, *, last: bool = False) -> None:
        """Sign the head, once all records before it are delivered, and store it.

        The `last` one says that the chain ends here. Raises `UndeliveredError`: call it again, and what was signed is
        stored first.
        """
        if self.pending:
            raise UndeliveredError(f"{len(self.pending)} audit records wait: no checkpoint is signed before them")
        if self._unstored is None:
            self._unstored = self._sign(self._clock(), last=last)
        checkpoint, signed = self._unstored
        self._put_object(checkpoint.key, signed, "application/jose")
        self._unstored, self._stored, self._number = None, checkpoint.head, self._number + 1
        self.checkpoint_due = checkpoint.at + (self._period or 0)
        if checkpoint.head.seq != self.chain.seq or (last and checkpoint.due is not None):
            self.checkpoint(last=last)  # that one was signed before

    def _sign(self, at: int, *, last: bool) -> tuple[Checkpoint, str]:
        checkpoint = Checkpoint(
            environment=self._place.environment,
            chain=self.chain.id,
            kind=self.chain.kind,
            number=self._number,
            at=at,
            head=self._head(),
            previous=self._stored,
            due=None if last or self._period is None else at + self._period,
            waiting=self._waiting,
        )
        text = signing_input(checkpoint, self._place.key)
        try:
            response = self._clients.kms.sign(
                KeyId=self._place.key,
                Message=hashlib.sha256(text.encode()).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="RSASSA_PSS_SHA_256",
            )
        except (BotoCoreError, ClientError) as error:
            raise UndeliveredError(f"no checkpoint of the audit log was signed: {error}") from error
        return checkpoint, f"{text}.{encoded(response['Signature'])}"

    def _head(self) -> Head:
        return Head(seq=self.chain.seq, sha256=self.chain.head, at=self.chain.at)


def _rejected(batch: list[Line], response: "PutLogEventsResponseTypeDef") -> list[Line]:
    """Return the lines that a call left out: too old or expired at the beginning, too new at the end."""
    info = response.get("rejectedLogEventsInfo", {})
    begin = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
    end = info.get("tooNewLogEventStartIndex", len(batch))
    return batch[:begin] + batch[max(begin, end) :]
