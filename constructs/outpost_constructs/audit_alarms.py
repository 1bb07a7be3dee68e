"""Alarms on the audit log: records that wait, that went elsewhere or were lost, and heads that nobody signed."""

from outpost.names import Metric
from outpost_constructs.alarms import Alarms
from outpost_constructs.metrics import outpost_metric
from outpost_ops.config import EnvironmentConfig


def alarm_on_audit(alarms: Alarms, config: EnvironmentConfig) -> None:
    """Add the alarms of an environment's audit log."""
    alarms.add(
        "AuditWaiting",
        outpost_metric(Metric.AUDIT_WAITING, "Maximum", config),
        above=30,
        description="Audit records wait: neither CloudWatch Logs nor the audit bucket takes them",
        runbook="audit-records",
    )
    for name, metric, description in (
        ("AuditSetAside", Metric.AUDIT_SET_ASIDE, "CloudWatch Logs did not take audit records; they are in the bucket"),
        ("AuditLost", Metric.AUDIT_LOST, "Audit records were lost"),
    ):
        alarms.add_at_once(
            name, outpost_metric(metric, "Sum", config), description=description, runbook="audit-records"
        )
    alarms.add(
        "AuditUnsigned",
        outpost_metric(Metric.AUDIT_UNSIGNED, "Sum", config),
        above=0,
        description="Checkpoints of the audit log could not be signed or stored",
        runbook="audit-records",
    )
