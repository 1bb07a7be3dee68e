"""The one reader of the dispatches' stream: records each change of state, and passes on what others need of it.

Two readers of a stream's shard are the most that AWS does not throttle (DynamoDB Developer Guide, "DynamoDB Streams and
AWS Lambda triggers"), so what follows the rows is invoked from here, asynchronously. Each has retries and dead letters
of its own: one that fails neither holds up nor repeats the work of the others (docs/adr/0014).

Audit records come last: when neither CloudWatch Logs nor the audit bucket takes them, the stream delivers the batch
again. Each invocation signs the head of its chain, because an execution environment does not learn of its end.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dispatch_changes.changes import Change
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.fleet.audit_writer import AuditClients, AuditPlace, AuditWriter, UndeliveredError
from outpost.fleet.metrics import emit
from outpost.names import Env, Metric

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_sqs import SQSClient

logger = Logger(service="dispatch_changes")

EVENTS_A_CALL = 10
"""Entries that one call of PutEvents takes. As a payload they stay far below what an asynchronous invocation takes."""
_CONFIG = CLIENT_CONFIG.merge(Config(read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}))
"""A call that waits holds up all changes that follow."""


@cache
def _functions() -> "LambdaClient":
    return boto3.client("lambda", config=_CONFIG)


@cache
def _queues() -> "SQSClient":
    return boto3.client("sqs", config=_CONFIG)


@cache
def _audit() -> AuditWriter:
    """Return the writer of this execution environment's chain."""
    return AuditWriter(AuditPlace.from_environment(), AuditClients.connect(), "states", clock=_milliseconds)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Handle a batch; return the first record that cannot be read, from which the stream delivers again.

    A batch that is delivered again repeats its audit records, with the same `id`, and what it passes on. Raises
    `UndeliveredError` when audit records could not be written.
    """
    changes: list[Change] = []
    unread: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            changes += Change.of(record)
        except (KeyError, ValueError):
            logger.exception("a record cannot be read", extra={"event": record["eventID"]})
            unread.append({"itemIdentifier": record["dynamodb"]["SequenceNumber"]})
            break  # the stream delivers all after it again as well
    for function, payload in _payloads(changes):
        _invoke(os.environ[function], json.dumps(payload))
    if changes:
        _record(change.audit for change in changes)
    return {"batchItemFailures": unread}


def _record(records: Iterable[dict[str, Any]]) -> None:
    """Write audit records and sign the chain's head. Raises `UndeliveredError` unless the records are written."""
    audit = _audit()
    aside = audit.deliver()  # what an earlier invocation could not write: nothing is added before it is
    audit.add([(_milliseconds(), record) for record in records])
    if aside := aside + audit.deliver():
        emit(Metric.AUDIT_SET_ASIDE, aside)
        logger.warning("audit records were set aside: CloudWatch Logs did not take them", extra={"records": aside})
    try:
        audit.checkpoint()
    except UndeliveredError:
        emit(Metric.AUDIT_UNSIGNED, 1)
        logger.warning("a checkpoint of the audit log is late", exc_info=True)


def _payloads(changes: Sequence[Change]) -> Iterator[tuple[Env, dict[str, Any]]]:
    """Yield which function is invoked with what: the planner at any change, usage_events with those that ended."""
    if changes:
        yield Env.PLANNER_FUNCTION, {"figures": [each for change in changes for each in change.measurements]}
    ended = [change.ended for change in changes if change.ended]
    for start in range(0, len(ended), EVENTS_A_CALL):
        yield Env.USAGE_EVENTS_FUNCTION, {"ended": ended[start : start + EVENTS_A_CALL]}


def _invoke(function: str, payload: str) -> None:
    """Start a function; what cannot be handed over is a dead letter, so that the others get theirs."""
    try:
        _functions().invoke(FunctionName=function, InvocationType="Event", Payload=payload.encode())
    except (BotoCoreError, ClientError):
        logger.exception("a function was not invoked", extra={"function": function})
        message = json.dumps({"function": function, "payload": payload})
        _queues().send_message(QueueUrl=os.environ[Env.DEAD_LETTERS], MessageBody=message)
