"""A request to a load balancer reaches its targets, whatever its path.

MiniStack looks at some paths before it looks at the host: `/health` answers for the emulator itself, and `/v2/...`,
`/oauth2/...` or `/.well-known/...` go to services of AWS, so that an application behind a load balancer can have no
such routes. (It finds a load balancer by the Host header, after all of these.)
"""

from typing import Any

from ministack import app


def install() -> None:
    """Skip MiniStack's own routes for the host names of load balancers."""
    before, after, special = (
        app._handle_pre_body_request,
        app._handle_post_body_shortcuts,
        app._handle_special_data_plane_request,
    )

    async def before_body(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        return None if _for_balancer(headers) else await before(method, path, headers, *rest)

    async def after_body(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        return None if _for_balancer(headers) else await after(method, path, headers, *rest)

    async def data_plane(
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: Any,
        request_id: str,
        **raw: Any,
    ) -> Any:
        if not _for_balancer(headers):
            return await special(method, path, headers, body, query, request_id, **raw)
        raw_parts = (raw.get("raw_query_string", ""), raw.get("raw_path"))
        return await app._handle_alb_request(headers["host"], path, method, headers, body, query, *raw_parts)

    app._handle_pre_body_request = before_body
    app._handle_post_body_shortcuts = after_body
    app._handle_special_data_plane_request = data_plane


def _for_balancer(headers: dict[str, str]) -> bool:
    return headers.get("host", "").partition(":")[0].lower().endswith(".elb.amazonaws.com")
