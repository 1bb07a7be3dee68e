"""Bedrock's `bedrock-runtime` endpoint on loopback: the model of `model_server`, for requests with a valid signature.

It recomputes each signature by AWS Signature Version 4 (IAM User Guide, "Create a signed AWS API request") with the
secret of the caller, and refuses with what differs: nothing of it is botocore's.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from outpost.domain.ids import now
from outpost.domain.protocol import Credentials
from tests.worker.model_server import Handler, Json, ModelServer, model_server

REGION = "eu-west-1"
_PATHS = {"/anthropic/v1/messages", "/openai/v1/responses"}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW = timedelta(minutes=5)


@contextmanager
def bedrock_server(known: Mapping[str, tuple[Credentials, str | None]]) -> Iterator[ModelServer]:
    """Serve callers in `REGION` until the block ends: access key -> credentials, and their session policy if any."""

    class Caller(_Signed):
        callers = known

    with model_server("", Caller) as server:
        yield server


class _Signed(Handler):
    callers: Mapping[str, tuple[Credentials, str | None]] = MappingProxyType({})

    def rejection(self, content: bytes) -> tuple[int, Json] | None:
        if self.path.partition("?")[0] not in _PATHS:
            return 404, {"message": "UnknownOperationException"}
        fault = self._fault(content)
        return (403, {"message": fault}) if fault else None

    def _fault(self, content: bytes) -> str | None:
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if found is None:
            return "Missing Authentication Token"
        caller, policy = self.callers.get(found["key"], (None, None))
        if caller is None or self.headers.get("X-Amz-Security-Token") != caller.session_token:
            return "The security token included in the request is invalid."
        if (found["region"], found["service"]) != (REGION, "bedrock"):
            return f"Credential should be scoped to {REGION} and bedrock"
        signed = found["signed"].split(";")
        fault = self._unsigned(signed) or self._fault_of_signature(caller, found, content)
        return fault or (_denial(policy, json.loads(content)["model"]) if policy else None)

    def _unsigned(self, signed: list[str]) -> str | None:
        needed = {"host", "x-amz-date", "x-amz-security-token"}
        needed |= {name.lower() for name in self.headers if name.lower().startswith("x-amz-")}
        missing = sorted(needed - {*signed})
        return f"There were headers present in the request which were not signed: {missing}" if missing else None

    def _fault_of_signature(self, caller: Credentials, found: re.Match[str], content: bytes) -> str | None:
        at = self.headers["X-Amz-Date"]
        if abs(datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - now()) > _SKEW or at[:8] != found["day"]:
            return f"Signature expired: {at}"
        scope = f"{found['day']}/{REGION}/bedrock/aws4_request"
        if hmac.compare_digest(found["signature"], self._signature(caller, scope, found["signed"].split(";"), content)):
            return None
        return "The request signature we calculated does not match the signature you provided."

    def _signature(self, caller: Credentials, scope: str, signed: list[str], content: bytes) -> str:
        path, _, query = self.path.partition("?")
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in signed)
        parts = [self.command, path, "&".join(sorted(query.split("&"))), headers, ";".join(signed), _sha256(content)]
        canonical = "\n".join(parts).encode()
        to_sign = f"AWS4-HMAC-SHA256\n{self.headers['X-Amz-Date']}\n{scope}\n{_sha256(canonical)}"
        key = f"AWS4{caller.secret_access_key}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _denial(policy: str, model: str) -> str | None:
    """Return what a session policy lacks for a call through an inference profile."""
    allowed = {
        resource
        for statement in json.loads(policy)["Statement"]
        if "bedrock:InvokeModelWithResponseStream" in statement["Action"]
        for resource in statement["Resource"]
    }
    profile = f":inference-profile/{model}"
    needed = {f"arn:aws:bedrock:*::foundation-model/{model.partition('.')[2]}"}
    if needed <= allowed and any(f":{REGION}:" in each and each.endswith(profile) for each in allowed):
        return None
    return f"not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: {profile}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
