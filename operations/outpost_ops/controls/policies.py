"""What policies and rules say, the same in a template and in an account."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from outpost_ops.templates import values_at

BLOCK_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
"""The four flags of S3's public access block."""


def public_statements(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a resource policy that allow something to everybody without a condition."""
    for statement in values_at(policy, "Statement"):
        everybody = statement.get("Principal") == "*" or "*" in values_at(statement, "Principal.AWS")
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
