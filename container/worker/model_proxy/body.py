"""Reads the body of an agent's request, of bounded size, in the ways that its head may announce it (RFC 9112, 6)."""

import re
from email.message import Message
from io import BufferedIOBase

from worker.model_proxy.errors import RefusedError

MAX_REQUEST_BYTES = 64 * 1024 * 1024
_DIGITS = re.compile("[0-9a-fA-F]{1,16}")


def read_body(headers: Message, file: BufferedIOBase) -> bytes:
    """Return the body. Raises `RefusedError` for one that is compressed, too large, or of no known length."""
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusedError(415, "the body is compressed: send it as it is")
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return _chunks(file)
    return file.read(_length(headers.get("Content-Length", "0"), base=10))


def _chunks(file: BufferedIOBase) -> bytes:
    body = bytearray()
    while size := _length(file.readline(64).partition(b";")[0].strip().decode("latin-1"), base=16):
        if len(body) + size > MAX_REQUEST_BYTES:
            raise RefusedError(413, f"a request has at most {MAX_REQUEST_BYTES} bytes")
        body += file.read(size)
        file.readline(64)
    file.readline(64)
    return bytes(body)


def _length(text: str, base: int) -> int:
    """Return a length from a request's head. Raises `RefusedError`."""
    try:
        length = int(text, base) if _DIGITS.fullmatch(text) else -1
    except ValueError:
        length = -1
    if not 0 <= length <= MAX_REQUEST_BYTES:
        raise RefusedError(413, f"{text!r} is no length, or a request of more than {MAX_REQUEST_BYTES} bytes")
    return length
