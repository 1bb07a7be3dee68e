"""Who the client is, as the load balancer in front of the service reports it.

The load balancer appends the address that it saw to `X-Forwarded-For` and sets `X-Forwarded-Proto` itself (Elastic Load
Balancing: HTTP headers and Application Load Balancers). There is exactly one such proxy, and only it reaches the
service, so the last address counts. Everything before it, `Forwarded` and `X-Forwarded-Host` are the client's own text.
"""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

_LONGEST_ADDRESS = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") + len("[]")


def apply_forwarded(scope: Scope) -> None:
    """Put the client's address and scheme into the scope of a request; without those headers it stays as it is."""
    headers = Headers(scope=scope)
    if address := _last_address(headers.getlist("x-forwarded-for")):
        scope["client"] = (address, 0)
    scheme = _last(headers.getlist("x-forwarded-proto"))
    if scheme in ("http", "https"):
        scope["scheme"] = scheme


def _last_address(values: list[str]) -> str | None:
    text = _last(values)
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))  # an appended IPv6 has brackets
    except ValueError:
        return None


def _last(values: list[str]) -> str:
    return values[-1].rpartition(",")[2].strip() if values else ""
