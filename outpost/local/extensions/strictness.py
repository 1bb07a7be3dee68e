"""Puts in place what makes the services as lagging and as strict as AWS, whoever runs them."""

from outpost.local.extensions import index_lag, quota_limits, service_linked_roles, service_quotas
from outpost.local.realism import Realism


def install_strictness(realism: Realism) -> None:
    """Install all; MiniStack must not have served a request yet."""
    for module in (index_lag, service_quotas, quota_limits, service_linked_roles):
        module.install(realism)
