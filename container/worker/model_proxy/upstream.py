"""The provider behind the model proxy: one connection a call, with a key or signature that the agent has not."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials

from outpost.domain.protocol import Credentials
from outpost.domain.providers import Provider

CONNECT_SECONDS = 15.0
RESPONSE_SECONDS = 900.0
"""Longest silence of a provider: models think."""
_SERVICE = "bedrock"
"""The service of signatures for the `bedrock-runtime` endpoint (Service Authorization Reference, "Amazon Bedrock")."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class ProviderKey:
    """A provider's key, in the provider's header."""

    provider: Provider
    value: str = field(repr=False)

    def headers(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the header with the key, whatever the request."""
        return {self.provider.key_header: f"{self.provider.key_scheme}{self.value}"}


@dataclass(frozen=True)
class Signer:
    """Signs requests to Bedrock (AWS Signature Version 4) with the credentials of the moment."""

    region: str
    current: Callable[[], Credentials]

    def headers(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers of a signature of host, path, query, type and body."""
        held = self.current()
        request = AWSRequest(method, url, {"Content-Type": content_type}, body)
        credentials = AwsCredentials(held.access_key_id, held.secret_access_key, held.session_token)
        SigV4Auth(credentials, _SERVICE, self.region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name != "Content-Type"}


Credential = ProviderKey | Signer
"""Makes the headers of one request; two that are equal are accepted or rejected alike."""


class ConnectError(Exception):
    """There is no connection to the provider: nothing was sent."""


@dataclass(frozen=True)
class Call:
    """A request for the provider, without a credential."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(eq=False)
class Upstream:
    """Calls one provider; used by many threads."""

    provider: Provider
    url: str
    credential: Credential
    read_again: Callable[[], Credential]
    """Returns the credential as it is by then: called when the one in use is rejected."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def call(self, call: Call) -> Iterator[http.client.HTTPResponse]:
        """Call the provider; when it rejects the credential and there is another by now, call again with that one.

        Raises `ConnectError`, and `OSError` or `http.client.HTTPException` once the request was sent.
        """
        credential = self.credential
        with ExitStack() as connections:
            send = partial(self._send, connections, call)
            response = send(credential)
            if response.status in self.provider.rejections and (newer := self._newer(credential)):
                response = send(newer)
            yield response

    def _newer(self, rejected: Credential) -> Credential | None:
        with self._lock:
            if self.credential == rejected:
                self.credential = self.read_again()
                _log.info("the provider rejected the key; it was read again", changed=self.credential != rejected)
            return None if self.credential == rejected else self.credential

    def _send(self, connections: ExitStack, call: Call, credential: Credential) -> http.client.HTTPResponse:
        url = urlsplit(self.url)
        connection = connections.enter_context(closing(_connection(url.scheme, url.netloc)))
        target = f"{url.path.rstrip('/')}{self.provider.path}{call.target}"
        signed = f"{url.scheme}://{url.netloc}{target}"
        shown = credential.headers(call.method, signed, call.headers["content-type"], call.body)
        try:
            connection.connect()
        except OSError as error:
            raise ConnectError(type(error).__name__) from error
        connection.sock.settimeout(RESPONSE_SECONDS)
        connection.request(call.method, target, body=call.body or None, headers={**call.headers, **shown})
        return connection.getresponse()


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
