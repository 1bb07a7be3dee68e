"""Reads that take the time that they take on AWS, whatever this machine does.

The emulator shares the machine's cores with what is measured, so that a flood which reads slows down everybody's reads.
Here a read that was made before has its response from memory after `LATENCY_SECONDS`. All else is sent to the emulator.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import urllib3
import uvloop

LATENCY_SECONDS = 0.005
"""DynamoDB promises single-digit milliseconds (DynamoDB Developer Guide: "What is Amazon DynamoDB?")."""
_READS = frozenset({"BatchGetItem", "GetItem", "Query"})


@contextmanager
def fixed_store(endpoint: str) -> Iterator[str]:
    """Run the store before an emulator, in a process of its own; yield its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(endpoint, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(endpoint: str, parent: Connection) -> None:
    uvloop.run(_Store(endpoint).run(parent))


class _Store:
    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._aws = urllib3.PoolManager(maxsize=32)
        self._known: dict[tuple[str, str, str, bytes], bytes] = {}

    async def run(self, parent: Connection) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await self._respond(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        (method, path, _), headers = lines[0].split(" "), dict(line.split(": ", 1) for line in lines[1:] if line)
        fields = {name.lower(): value for name, value in headers.items()}
        if "expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        begun = asyncio.get_running_loop().time()
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        operation = fields.get("x-amz-target", "").rpartition(".")[2]
        key = (method, path, operation, body)
        if (response := self._known.get(key)) is None:
            response = await asyncio.to_thread(self._forward, method, path, headers, body)
            if operation in _READS or method == "GET":
                self._known[key] = response
        await asyncio.sleep(begun + LATENCY_SECONDS - asyncio.get_running_loop().time())
        return response

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        found = self._aws.request(
            method, f"{self._endpoint}{path}", body=body, headers=headers, retries=False, decode_content=False
        )
        dropped = ("content-length", "transfer-encoding", "connection")
        head = [f"{name}: {value}" for name, value in found.headers.items() if name.lower() not in dropped]
        lines = [f"HTTP/1.1 {found.status} -", *head, f"Content-Length: {len(found.data)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + found.data
