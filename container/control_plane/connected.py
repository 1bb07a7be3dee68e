"""Requests that nobody waits for any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response


async def while_connected(request: Request, handling: Coroutine[Any, Any, Response]) -> Response:
    """Return the response to a request without a body, unless its client hangs up: then the handling is cancelled.

    What has not begun, such as a call that waits for a thread, never begins. Raises `ClientDisconnect`.
    """
    work, gone = asyncio.ensure_future(handling), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
