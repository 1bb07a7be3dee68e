"""Who a caller is, by a request of sts:GetCallerIdentity that it signs and we send.

AWS does not show a function who invoked it. But a holder of credentials can sign a request that does nothing except
return whose they are, and give it away; it can be sent by others, not changed. Vault ("AWS auth method", type iam) and
EKS (aws-iam-authenticator) recognise callers by it. The caller sends only what differs from request to request:
`_fixed_headers` and `_BODY` are the rest, so no proof can make us call another host or action, and one that was signed
for another environment or service is refused by STS.
"""

import os
import re
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple, Self

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from outpost.domain.protocol import IdentityProof
from outpost.names import Env

LIFETIME = timedelta(minutes=5)
"""How old a proof may be, or ahead of our clock; workers sign a new one for each claim. STS itself takes 15 minutes."""
TIMEOUTS = (1, 2)
"""Seconds to connect and to read; a claim has `TRIES` of them before the function's time is over."""
TRIES = 2
_BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
_DATE = "%Y%m%dT%H%M%SZ"
_ARN = re.compile(r"<Arn>arn:[\w-]+:sts::(\d{12}):assumed-role/([\w+=,.@-]+)/([\w+=,.@-]+)</Arn>", re.ASCII)
_CODE = re.compile(r"<Code>(\w+)</Code>", re.ASCII)
_THROTTLES = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})


class Caller(NamedTuple):
    """The session of a role."""

    account: str
    role: str
    """Its name, without a path."""
    session: str
    """The session's name: for a role of an ECS task, the task's id."""


class ProofRefusedError(Exception):
    """The proof is not valid, and will not be; the text says why, and holds nothing of the proof."""


class StsError(Exception):
    """STS gives no response now."""


def prove(credentials: ReadOnlyCredentials, region: str, environment: str) -> IdentityProof:
    """Sign a proof at this moment. Raises `ValueError` for credentials that are not a session's."""
    if not credentials.token:
        raise ValueError("the credentials are not those of a session: run as the role of an ECS task")
    headers = _fixed_headers(region, environment)
    request = AWSRequest("POST", f"https://{headers['host']}/", headers, _BODY)
    SigV4Auth(credentials, "sts", region).add_auth(request)
    return IdentityProof(
        access_key_id=credentials.access_key,
        session_token=credentials.token,
        signed_at=request.headers["X-Amz-Date"],
        signature=request.headers["Authorization"].rpartition("=")[2],
    )


def _fixed_headers(region: str, environment: str) -> dict[str, str]:
    return {
        "host": f"sts.{region}.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-outpost-environment": environment,
    }


class CallerIdentity:
    """Sends proofs to the region's STS."""

    def __init__(self, url: str, region: str, environment: str) -> None:
        self._url = url
        self._session = URLLib3Session(timeout=TIMEOUTS)  # type: ignore[arg-type]  # the stubs miss pairs
        self._region = region
        self._environment = environment

    @classmethod
    def from_environment(cls) -> Self:
        """Connect to STS as boto3 would."""
        client = boto3.client("sts")
        return cls(client.meta.endpoint_url, client.meta.region_name, os.environ[Env.ENVIRONMENT])

    def caller(self, proof: IdentityProof, at: datetime) -> Caller:
        """Return whose credentials signed the proof. Raises `ProofRefusedError` and `StsError`."""
        signed_at = datetime.strptime(f"{proof.signed_at}+0000", f"{_DATE}%z")
        if abs(at - signed_at) > LIFETIME:
            raise ProofRefusedError(f"it was signed at {proof.signed_at}: more than {LIFETIME} away from now")
        text = self._send(self._headers(proof))
        found = _ARN.search(text)
        if found is None:
            raise ProofRefusedError("the caller is no session of a role")
        return Caller(*found.groups())

    def _headers(self, proof: IdentityProof) -> dict[str, str]:
        headers = _fixed_headers(self._region, self._environment)
        headers |= {"x-amz-date": proof.signed_at, "x-amz-security-token": proof.session_token}
        credential = f"{proof.access_key_id}/{proof.signed_at[:8]}/{self._region}/sts/aws4_request"
        names = f"Credential={credential}, SignedHeaders={';'.join(sorted(headers))}"
        return headers | {"authorization": f"AWS4-HMAC-SHA256 {names}, Signature={proof.signature}"}

    def _send(self, headers: dict[str, str]) -> str:
        why = ""
        for _ in range(TRIES):
            try:
                response = self._session.send(AWSRequest("POST", self._url, headers, _BODY).prepare())  # no redirects
            except BotoCoreError as error:
                why = type(error).__name__
                continue
            text = response.text
            if response.status_code == HTTPStatus.OK:
                return text
            code = _CODE.search(text)
            why = code[1] if code else str(response.status_code)
            if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and why not in _THROTTLES:
                raise ProofRefusedError(f"STS refuses it: {why}")
        raise StsError(f"STS did not say who the caller is: {why}")
