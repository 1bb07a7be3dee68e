"""The service's log: one JSON object a line on standard output, from us and the libraries; no headers, bodies, keys."""

import logging
import os
import sys
import time

import structlog
from structlog.typing import Processor

from outpost.names import METRIC_NAMESPACE, Env, Metric

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    structlog.processors.format_exc_info,
]


def configure_logging() -> None:
    """Send every log record of this process to standard output as JSON."""
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        ),
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def emit(metric: Metric, value: float) -> None:
    """Log a metric of this environment in CloudWatch's embedded metric format, which CloudWatch Logs extracts."""
    definition = {"Name": metric, "Unit": "Seconds" if metric is Metric.AUDIT_WAITING else "Count"}
    directive = {"Namespace": METRIC_NAMESPACE, "Dimensions": [["Environment"]], "Metrics": [definition]}
    metadata = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    structlog.get_logger().info(
        "metric", _aws=metadata, Environment=os.environ[Env.ENVIRONMENT], **{str(metric): value}
    )
