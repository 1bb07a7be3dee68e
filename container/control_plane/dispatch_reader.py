"""Reads a dispatch without a thread: most requests begin with it, and a hop to a thread and back costs as much again.

The call is that of outpost/aws/fast_client.py, awaited: aiohttp transports it, with the client's timeouts, number of
attempts and exceptions. It calls none of the client's hooks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from outpost.aws.fast_client import ExceptionMap, FastClient, is_retryable, map_exception, tls_context
from outpost.domain.dispatch import Dispatch
from outpost.store import keys
from outpost.store.database import Database, from_attributes, key
from outpost.store.dispatch_rows import complete_row
from outpost.store.rows import is_complete, row_from

_EXCEPTIONS: ExceptionMap = {
    aiohttp.ConnectionTimeoutError: ConnectTimeoutError,
    aiohttp.ServerTimeoutError: ReadTimeoutError,
    aiohttp.ClientSSLError: SSLError,
    aiohttp.ClientConnectorError: EndpointConnectionError,
    aiohttp.ClientError: ConnectionClosedError,
}
KEPT_SECONDS = 50
"""How long a connection may be idle. (After aiohttp's own 15 s a quiet replica would shake hands for every read.)"""


class DispatchReader:
    """Reads dispatches on the event loop, while it is `open`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._client = cast("FastClient", database.client)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep connections meanwhile, on the running loop."""
        config: Any = self._client.meta.config  # its attributes are made at run time
        connector = aiohttp.TCPConnector(
            limit=config.max_pool_connections,
            ssl=tls_context(),
            keepalive_timeout=KEPT_SECONDS,
        )
        times = aiohttp.ClientTimeout(
            connect=config.read_timeout,  # with the wait for one of the connections
            sock_connect=config.connect_timeout,
            sock_read=config.read_timeout,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=times,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("accept", "accept-encoding"),  # a response is too short to be compressed
        ) as self._session:
            yield

    async def get(self, dispatch_id: str) -> Dispatch | None:
        """Read a row as it is now, or None. Raises botocore's exceptions."""
        table = self._database.dispatches
        request = {"TableName": table, "Key": key(*keys.row(dispatch_id)), "ConsistentRead": True}
        found = await self._call("GetItem", request)
        if "Item" not in found:
            return None
        item = from_attributes(found["Item"])
        return row_from(item) if is_complete(item) else await asyncio.to_thread(complete_row, self._database, item)

    async def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        protocol = self._client.protocol
        body = protocol.body(operation, parameters)
        for pause in protocol.pauses():
            try:
                return await self._try(operation, body)
            except (BotoCoreError, ClientError) as error:
                if not is_retryable(error):
                    raise
            await asyncio.sleep(pause)
        return await self._try(operation, body)

    async def _try(self, operation: str, body: bytes) -> dict[str, Any]:
        protocol, session = self._client.protocol, self._session
        assert session is not None  # noqa: S101 - the service opens it before its first request
        request = protocol.request(operation, body, await self._credentials())
        headers = dict(request.headers.items())
        try:
            async with session.post(protocol.url, data=body, headers=headers, allow_redirects=False) as response:
                return protocol.result(operation, response.status, response.headers, await response.read())
        except aiohttp.ClientError as error:
            raise map_exception(_EXCEPTIONS, error, protocol.url) from error

    async def _credentials(self) -> ReadOnlyCredentials:
        credentials = self._client.credentials
        if credentials is None:
            raise NoCredentialsError
        if isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed():
            return await asyncio.to_thread(credentials.get_frozen_credentials)
        return credentials.get_frozen_credentials()
