"""Puts in place what makes the services as lagging and as strict as AWS."""

from outpost_local.extensions import (
    event_delivery,
    index_lag,
    invocation_limits,
    late_tasks,
    log_limits,
    message_delivery,
    object_conflicts,
    quota_limits,
    secret_versions,
    service_linked_roles,
    service_quotas,
    session_size,
    stream_readers,
    table_updates,
    transactions,
)
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
        service_quotas,
        quota_limits,
        secret_versions,
        service_linked_roles,
        session_size,
        stream_readers,
        table_updates,
        transactions,
    ):
        module.install(realism)
