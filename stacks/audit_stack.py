"""Audit: the trail, and the bucket that keeps it, and what the migration archives."""

from constructs import Construct

from outpost_constructs.audit_trail import AuditTrail
from outpost_constructs.stack import OutpostStack
from outpost_ops.config import EnvironmentConfig
from stacks.data_stack import DataStack


class AuditStack(OutpostStack):
    """Outlives the work that it records."""

    def __init__(self, scope: Construct, config: EnvironmentConfig, *, data: DataStack) -> None:
        super().__init__(scope, "Audit", purpose="audit", config=config)
        self.trail = AuditTrail(
            self, "Trail", artifacts=data.artifacts, access_logs=data.access_logs, retention=config.retention
        )
