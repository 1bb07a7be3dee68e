"""A session's policy and tags have limits: MiniStack checks the policy's length, under AUTH only, and packs nothing.

The inline policy has at most 2,048 characters, a session at most 50 tags with keys of 128 and values of 256 characters;
policies and tags are also packed into a binary format with a limit of its own (AWS Security Token Service API
Reference: AssumeRole; IAM User Guide: "IAM and AWS STS quotas"). AWS does not say how it packs. The share that is
returned as PackedPolicySize is estimated here: the policy by its zlib size of `_POLICY_BYTES`, tags by their characters
of `_TAG_CHARACTERS`, which fits the six tags of EKS Pod Identity that take 74 % (aws/containers-roadmap#2413).
"""

import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ministack.services import sts

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.iam import sessions
from outpost_local.extensions.patch import around

_POLICY_CHARACTERS = 2048
_POLICY_BYTES = 1024
_TAG_CHARACTERS = 368
_TAGS, _TAG_KEY, _TAG_VALUE = 50, 128, 256


AFTER = ("iam.sessions",)


async def _handle(handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
    _method, _path, headers, body, query = request
    parameters = sessions.read_request(headers, body, query)
    if parameters.get("Action") != "AssumeRole":
        return await handle(*request)
    policy, tags = str(parameters.get("Policy") or ""), _tags(parameters)
    packed = _packed_percent(policy, tags)
    if problem := _problem(policy, tags, packed):
        return sts._error(400, problem.code, problem.message, ns="sts")  # type: ignore[no-any-return]
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


class _Problem(NamedTuple):
    code: str
    message: str


def _problem(policy: str, tags: dict[str, str], packed: int) -> _Problem | None:
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
        return _Problem("PackedPolicyTooLarge", message)
    return None


def _too_long(what: str, longest: int) -> _Problem:
    message = f"1 validation error detected: Value at '{what}' failed to satisfy constraint: Member must have length "
    return _Problem("ValidationError", f"{message}less than or equal to {longest}")


def _with_size(response: bytes, packed: int) -> bytes:
    if response[:1] == b"{":
        return json.dumps(json.loads(response) | {"PackedPolicySize": packed}).encode()
    return response.replace(b"<PackedPolicySize>0<", f"<PackedPolicySize>{packed}<".encode())


PATCHES = (around("services.sts.handle_request", _handle, "a session's tags may have any size"),)
