"""What policies and rules say, the same in a template and in an account."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

BLOCK_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
"""The four flags of S3's public access block."""


def public_statements(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a resource policy that allow something to everybody without a condition."""
    statements = policy.get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        everybody = principal == "*" or (isinstance(principal, dict) and "*" in _listed(principal.get("AWS", [])))
        if statement.get("Effect") == "Allow" and everybody and not statement.get("Condition"):
            yield statement


def unset_flags(block: Mapping[str, Any]) -> list[str]:
    """Return which of the four flags are not on."""
    return [flag for flag in BLOCK_FLAGS if block.get(flag) is not True]


def outside(network: str, inside: Iterable[str]) -> bool:
    """Tell whether a network reaches beyond the given ones."""
    source = ip_network(network)
    return not any(
        source.version == own.version and source.subnet_of(own)  # type: ignore[arg-type] # of one version
        for own in map(ip_network, inside)
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
