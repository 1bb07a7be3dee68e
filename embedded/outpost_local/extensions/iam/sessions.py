"""AssumeRole has limits: of a session's duration, its policy and its tags.

On AWS a session made with the credentials of another role's session lasts at most one hour, and no session lasts longer
than its role's MaxSessionDuration: MiniStack lets a chained session run for as long as it asks.

The inline policy has at most 2,048 characters, a session at most 50 tags with keys of 128 and values of 256 characters;
policies and tags are also packed into a binary format with a limit of its own (AWS Security Token Service API
Reference: AssumeRole; IAM User Guide: "IAM and AWS STS quotas"). MiniStack checks the policy's length, under AUTH only,
and packs nothing. AWS does not say how it packs. The share that is returned as PackedPolicySize is estimated here: the
policy by its zlib size of `_POLICY_BYTES`, tags by their characters of `_TAG_CHARACTERS`, which fits the six tags of
EKS Pod Identity that take 74 % (aws/containers-roadmap#2413).
"""

import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from ministack.core.router import extract_access_key_id
from ministack.services import iam, sts

from outpost_local.extensions.cloudformation.document_limits import Refusal
from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import around

CHAINED_SECONDS = 3600
_DEFAULT_MAX_SECONDS = 3600
_POLICY_CHARACTERS = 2048
_POLICY_BYTES = 1024
_TAG_CHARACTERS = 368
_TAGS, _TAG_KEY, _TAG_VALUE = 50, 128, 256


async def _within_duration(handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
    _method, _path, headers, body, query = request
    parameters = _read_request(headers, body, query)
    if parameters.get("Action") == "AssumeRole":
        problem = _duration_problem(parameters, chained=extract_access_key_id(headers, query) in sts._sessions)
        if problem:
            return sts._error(400, "ValidationError", problem, ns="sts")  # type: ignore[no-any-return]
    return await handle(*request)


def _read_request(headers: dict[str, str], body: bytes, query: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request in either of the protocols that SDKs speak to STS."""
    target = headers.get("x-amz-target", "")
    if target:
        return {**json.loads(body or b"{}"), "Action": target.rpartition(".")[2]}
    merged = {**query, **parse_qs(body.decode(errors="replace"))}
    return {key: value[0] if isinstance(value, list) else value for key, value in merged.items()}


def _duration_problem(request: dict[str, Any], *, chained: bool) -> str | None:
    seconds = int(request.get("DurationSeconds") or 3600)
    if chained and seconds > CHAINED_SECONDS:
        return "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    role = iam._roles.get(str(request.get("RoleArn", "")).rpartition("/")[2]) or {}
    if seconds > int(role.get("MaxSessionDuration", _DEFAULT_MAX_SECONDS)):
        return "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    return None


async def _within_size(handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
    _method, _path, headers, body, query = request
    parameters = _read_request(headers, body, query)
    if parameters.get("Action") != "AssumeRole":
        return await handle(*request)
    policy, tags = str(parameters.get("Policy") or ""), _tags(parameters)
    packed = _packed_percent(policy, tags)
    if problem := _problem(policy, tags, packed):
        return sts._error(400, *problem, ns="sts")  # type: ignore[no-any-return]
    status, response_headers, response = await handle(*request)
    return status, response_headers, _with_size(response, packed)


def _tags(request: dict[str, Any]) -> dict[str, str]:
    if isinstance(request.get("Tags"), list):
        return {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
    return {tag["Key"]: tag["Value"] for tag in sts._extract_tags(request)}


def _packed_percent(policy: str, tags: dict[str, str]) -> int:
    packed = len(zlib.compress(policy.encode(), 9)) if policy else 0
    characters = sum(len(key) + len(value) for key, value in tags.items())
    return round(100 * (packed / _POLICY_BYTES + characters / _TAG_CHARACTERS))


def _problem(policy: str, tags: dict[str, str], packed: int) -> Refusal | None:
    if len(policy) > _POLICY_CHARACTERS:
        return _too_long("policy", _POLICY_CHARACTERS)
    if len(tags) > _TAGS:
        return _too_long("tags", _TAGS)
    for key, value in tags.items():
        if len(key) > _TAG_KEY or len(value) > _TAG_VALUE:
            return _too_long(f"tags.{key[:_TAG_KEY]}", _TAG_KEY if len(key) > _TAG_KEY else _TAG_VALUE)
    if packed > 100:
        what = "Packed size of session tags" if tags else "Packed policy"
        message = f"{what} consumes {packed}% of allotted space, please use smaller policy."
        return Refusal("PackedPolicyTooLarge", message)
    return None


def _too_long(what: str, longest: int) -> Refusal:
    message = f"1 validation error detected: Value at '{what}' failed to satisfy constraint: Member must have length "
    return Refusal("ValidationError", f"{message}less than or equal to {longest}")


def _with_size(response: bytes, packed: int) -> bytes:
    if response[:1] == b"{":
        return json.dumps(json.loads(response) | {"PackedPolicySize": packed}).encode()
    return response.replace(b"<PackedPolicySize>0<", f"<PackedPolicySize>{packed}<".encode())


PATCHES = (
    around("services.sts.handle_request", _within_duration, "a chained session lasts two hours"),
    around("services.sts.handle_request", _within_size, "a session's tags may have any size"),
)
