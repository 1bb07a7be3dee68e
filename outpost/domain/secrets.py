"""Tenants' secrets: what they may be called, and how they are given to an agent."""

import re
from datetime import datetime

from outpost.domain.agents import CATALOGUE
from outpost.domain.value import Value

NAME_PATTERN = r"^[A-Z][A-Z0-9_]*$"
MAX_NAME_LENGTH = 64
MIN_VALUE_LENGTH, MAX_VALUE_LENGTH = 8, 16_384
"""A shorter value could not be taken out of logs; a longer one does not fit into Secrets Manager in any alphabet."""
MAX_SECRETS = 100

_PLATFORM = frozenset(
    {"FORGE_TOKEN", "GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_TOKEN", "GH_TOKEN", "WEBHOOK_SECRET"}
    | {variable for entry in CATALOGUE.values() for variable in entry.token_variables}
)
_SHELL = frozenset({"BASH_ENV", "ENV", "HOME", "IFS", "LANG", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER"})
_PREFIXES = ("AWS_", "GIT_", "LD_", "LC_", "NODE_", "OUTPOST_", "PYTHON")


class TenantSecret(Value):
    """A secret as it is listed: its value is in Secrets Manager only."""

    name: str
    arn: str
    updated_at: datetime
    not_searched: str | None = None
    """Why logs and results are not searched for the value; None when they are."""


def check_name(name: str) -> str:
    """Return the name when a tenant's secret may have it. Raises `ValueError` naming the remedy."""
    if len(name) > MAX_NAME_LENGTH or re.fullmatch(NAME_PATTERN, name) is None:
        raise ValueError(f"is not 1 to {MAX_NAME_LENGTH} of A-Z, 0-9 and _, beginning with a letter: choose another")
    if name in _PLATFORM:
        raise ValueError("is reserved for the platform's own keys, which no agent is given: choose another")
    if name in _SHELL or name.startswith(_PREFIXES):
        raise ValueError("is a variable by which programs are steered: choose another")
    return name
