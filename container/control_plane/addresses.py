"""The service's own addresses: which names requests may use for it, and which one its links have."""

from urllib.parse import urlsplit

from starlette.requests import Request

LOOPBACK = ("127.0.0.1", "localhost")


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
