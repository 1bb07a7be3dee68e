"""Tokens that only this service can make: list cursors and artifact links, the same on every replica."""

import base64
import binascii
import hashlib
import hmac
import json

Json = dict[str, str | int]

_MAC_BYTES = 16
_MAX_TOKEN = 2_048


class BadTokenError(ValueError):
    """The token was not made here, or for something else."""


class Signer:
    """Signs small JSON payloads with HMAC-SHA256.

    A token opens only for the purpose and the context (tenant, filter, ...) that it was sealed for; the context is
    not in the token.
    """

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def seal(self, purpose: str, context: tuple[str, ...], payload: Json) -> str:
        """Return a URL-safe token that carries the payload in clear."""
        body = json.dumps(payload, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(purpose, context, body) + body).rstrip(b"=").decode()

    def open(self, purpose: str, context: tuple[str, ...], token: str) -> Json:
        """Return the payload of a token. Raises `BadTokenError`."""
        try:
            if len(token) > _MAX_TOKEN:
                raise BadTokenError("too long")
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadTokenError("not base64") from error
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, context, body)):
            raise BadTokenError("not signed here for this")
        payload: Json = json.loads(body)
        return payload

    def _mac(self, purpose: str, context: tuple[str, ...], body: bytes) -> bytes:
        message = json.dumps([purpose, *context]).encode() + b"\n" + body
        return hmac.digest(self._key, message, hashlib.sha256)[:_MAC_BYTES]
