"""Puts in place what makes the services as lagging and as strict as AWS."""

from outpost_local.extensions.dynamodb import index_lag, table_updates, transactions
from outpost_local.extensions.ecs import late_tasks
from outpost_local.extensions.events import event_delivery
from outpost_local.extensions.iam import service_linked_roles, session_size
from outpost_local.extensions.lambda_ import invocation_limits, stream_readers
from outpost_local.extensions.logs import log_limits
from outpost_local.extensions.s3 import object_conflicts
from outpost_local.extensions.secretsmanager import secret_versions
from outpost_local.extensions.servicequotas import limits, quotas
from outpost_local.extensions.sqs import message_delivery
from outpost_local.realism import Realism


def install_strictness(realism: Realism) -> None:
    """Install all; MiniStack must not have served a request yet."""
    for module in (
        event_delivery,
        index_lag,
        invocation_limits,
        late_tasks,
        log_limits,
        message_delivery,
        object_conflicts,
        quotas,
        limits,
        secret_versions,
        service_linked_roles,
        session_size,
        stream_readers,
        table_updates,
        transactions,
    ):
        module.install(realism)
