"""The extensions that make single services as lagging and as strict as AWS, for `outpost_local.emulator` as well."""

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

STRICTNESS = (
    event_delivery,
    index_lag,
    invocation_limits,
    late_tasks,
    limits,
    log_limits,
    message_delivery,
    object_conflicts,
    quotas,
    secret_versions,
    service_linked_roles,
    session_size,
    stream_readers,
    table_updates,
    transactions,
)
