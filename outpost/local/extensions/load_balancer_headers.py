"""A load balancer appends the client's address to X-Forwarded-For: MiniStack passes the client's own header on.

"X-Forwarded-For: [...] the load balancer appends the client IP address to the existing header, and passes the header to
the target server" (Elastic Load Balancing User Guide: "HTTP headers and Application Load Balancers"). The embedded AWS
listens on the loopback interface only, so that address is known.
"""

from typing import Any

from ministack import app

_HEADER = "x-forwarded-for"
_CLIENT = "127.0.0.1"


def install() -> None:
    """Append it to each request before it is routed."""
    handle = app._handle_alb_request

    async def handle_appended(host: str, path: str, method: str, headers: dict[str, str], *rest: Any) -> Any:
        seen = headers.get(_HEADER)
        appended = headers | {_HEADER: f"{seen}, {_CLIENT}" if seen else _CLIENT}
        return await handle(host, path, method, appended, *rest)

    app._handle_alb_request = handle_appended
