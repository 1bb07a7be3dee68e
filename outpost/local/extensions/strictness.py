"""Puts in place what makes the services as lagging and as strict as AWS, whoever runs them."""

from outpost.local.extensions import index_lag
from outpost.local.realism import Realism


def install_strictness(realism: Realism) -> None:
    """Install all; MiniStack must not have served a request yet."""
    for module in (index_lag,):
        module.install(realism)
