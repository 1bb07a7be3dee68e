"""What a model call shows the provider to say who calls: a key, or a signature with the attempt's own credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials

from outpost.domain.protocol import Credentials
from outpost.domain.providers import Provider

_SERVICE = "bedrock"
"""The service of signatures for the `bedrock-runtime` endpoint (Service Authorization Reference, "Amazon Bedrock")."""


class Credential(Protocol):
    """Makes the headers of one request; two that are equal are accepted or rejected alike."""

    def headers(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers to add to a request."""


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
