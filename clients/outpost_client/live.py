"""Following a dispatch by Server-Sent Events, resumed after a lost connection."""

import time
from collections.abc import Callable, Iterator

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from outpost_client.errors import TRANSIENT, ApiError, refused, unreachable
from outpost_client.models import Dispatch, LogLine

SILENCE = httpx.Timeout(30, read=45)
"""The service breaks a silence after 15 s: one of three times that is a dead connection."""
RECONNECT_SECONDS = 2.0
RETRIES = 30
"""How often in a row a connection may be lost."""


class NoStreamError(Exception):
    """Something between us and the service does not let events through."""


def live(
    http: httpx.Client, dispatch_id: str, pause: Callable[[float], None] = time.sleep
) -> Iterator[Dispatch | LogLine]:
    """Yield the dispatch at each change of its status, and each log line once, to the end.

    Raises `ApiError` when the service refuses, `NoStreamError` when there is no event stream to begin with.
    """
    last: str | None = None
    lost = 0
    while True:
        wait = RECONNECT_SECONDS
        try:
            for event in _connection(http, dispatch_id, last):
                lost = 0
                if not event.data:
                    continue  # only a comment, which broke a silence
                last, found = event.id, _parse(event)
                yield found
                if isinstance(found, Dispatch) and found.status.terminal:
                    return
        except (httpx.TransportError, ApiError) as error:
            lost += 1
            wait = _wait(error, str(http.base_url), begun=last is not None, exhausted=lost > RETRIES)
        pause(wait)


def _wait(error: httpx.TransportError | ApiError, url: str, *, begun: bool, exhausted: bool) -> float:
    """Return how long to wait before connecting again. Raises what `live` raises when that would not help."""
    if isinstance(error, ApiError):
        if error.code not in TRANSIENT or exhausted:
            raise error
        return error.retry_after or RECONNECT_SECONDS
    if not begun:
        raise NoStreamError(str(error)) from error
    if exhausted:
        raise unreachable(url, error) from error
    return RECONNECT_SECONDS


def _connection(http: httpx.Client, dispatch_id: str, last: str | None) -> Iterator[ServerSentEvent]:
    headers = {"Last-Event-ID": last} if last else {}
    path = f"/dispatch/{dispatch_id}/events"
    with connect_sse(http, "GET", path, headers=headers, timeout=SILENCE) as source:
        if source.response.is_error:
            source.response.read()
            raise refused(source.response)
        yield from source.iter_sse()


def _parse(event: ServerSentEvent) -> Dispatch | LogLine:
    model = LogLine if event.event == "log" else Dispatch
    return model.model_validate_json(event.data)
