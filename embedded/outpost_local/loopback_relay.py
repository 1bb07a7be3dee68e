"""Lets containers reach what listens on 127.0.0.1: the gateway's and git's port on the container network's own address.

Podman brings the bridge's interface up with the first container, hence IP_FREEBIND: the address may not exist yet.
"""

import asyncio
import socket

_IP_FREEBIND = 15


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket on an address that this machine need not have yet."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((host, port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def relay(listener: socket.socket, port: int) -> asyncio.Server:
    """Connect each caller of `listener` with 127.0.0.1:`port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, target_writer), _copy(target_reader, writer))

    return await asyncio.start_server(serve, sock=listener)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side sees the close below
    finally:
        writer.close()
