"""The service's own addresses, and the client's as the proxies in front of the service report it.

The load balancer appends the address that it saw to `X-Forwarded-For` and sets `X-Forwarded-Proto` itself; with client
port preservation the address has a port (Elastic Load Balancing: HTTP headers and Application Load Balancers). Each
proxy before it appends as well. How many there are is configured, and only the last reaches the service, so the entry
that the first of them appended counts. What comes before it, `Forwarded` and `X-Forwarded-Host` are the client's text.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

LOOPBACK = ("127.0.0.1", "localhost")
_ADDRESS = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|(?P<v4>[0-9.]{7,15})(?::\d{1,5})?|(?P<v6>[0-9A-Fa-f:.]{2,45})"
)
"""IPv4 and IPv6, with or without a port; no zone, which is a name of another machine."""


def public_url(request: Request, hosts: tuple[str, ...]) -> str:
    """Return the service's address for links, with a final slash.

    The client's own `Host` is used only if it is one of `hosts` or of this machine; any other is replaced by the first
    of `hosts`, so that no link leads to a host that a client has made up. Without `hosts` the address is that of the
    connection.
    """
    url = request.base_url
    name = urlsplit(f"//{url.netloc}").hostname or ""
    if name in (*LOOPBACK, *(host.lower() for host in hosts)):
        return str(url)
    if hosts:
        return str(url.replace(netloc=hosts[0]))
    address, port = request.scope["server"] or (LOOPBACK[0], None)
    return str(url.replace(netloc=f"{address}:{port}" if port else address))


def apply_forwarded(scope: Scope, proxies: int) -> None:
    """Put the client's address and scheme into the scope of a request.

    It stays as it is, with the peer's address, without proxies and where they reported no address.
    """
    if not proxies:
        return
    headers = Headers(scope=scope)
    entries = ",".join(headers.getlist("x-forwarded-for")).rsplit(",", proxies)
    if len(entries) >= proxies and (address := _address(entries[-proxies].strip())):
        scope["client"] = (address, 0)
    scheme = ",".join(headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip()
    if scheme in ("http", "https"):
        scope["scheme"] = scheme


def _address(text: str) -> str | None:
    match = _ADDRESS.fullmatch(text)
    try:
        return str(ipaddress.ip_address(next(filter(None, match.groups())))) if match else None
    except ValueError:
        return None
