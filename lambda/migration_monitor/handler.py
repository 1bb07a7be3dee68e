"""The migration's monitor: each minute, without a laptop. Does nothing before `outpost migrate monitor`."""

import os
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.names import ROLLBACK_PROPOSED, Env
from outpost_migration.monitor.documents import Documents
from outpost_migration.monitor.metrics import put_metric
from outpost_migration.monitor.model import HOST, V1Host
from outpost_migration.monitor.sources import AccountSources
from outpost_migration.monitor.watch import Watch
from outpost_migration.v1.trail import Trail

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient

logger = Logger(service="migration_monitor")


@cache
def _documents() -> Documents:
    return Documents(boto3.client("s3", config=CLIENT_CONFIG), os.environ[Env.AUDIT_BUCKET])


@cache
def _trail() -> Trail:
    return Trail(boto3.client("cloudtrail", config=CLIENT_CONFIG), boto3.client("ssm", config=CLIENT_CONFIG))


@cache
def _cloudwatch() -> "CloudWatchClient":
    return boto3.client("cloudwatch", config=CLIENT_CONFIG)


def _watch() -> Watch:
    host = _documents().value(V1Host, HOST)
    return Watch(
        documents=_documents(),
        sources=AccountSources(
            cloudwatch=_cloudwatch(),
            trail=_trail(),
            load_balancer=os.environ[Env.LOAD_BALANCER],
            target_group=os.environ[Env.TARGET_GROUP],
            instance_id=host.instance_id if host else None,
        ),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Tick at the time that the schedule's event names; after an error, the next minute catches up."""
    state = _watch().tick(datetime.fromisoformat(event["time"]))
    if state is None:
        return
    logger.info("tick", extra={"figures": state.figures.model_dump(mode="json"), "proposal": state.proposal})
    level = state.proposal.level if state.proposal else 0
    put_metric(_cloudwatch(), ROLLBACK_PROPOSED, level, "None")
