"""A session's policy and tags have limits: MiniStack checks the policy's length, under AUTH only, and packs nothing.

The inline policy has at most 2,048 characters, a session at most 50 tags with keys of 128 and values of 256 characters;
policies and tags are also packed into a binary format with a limit of its own (AWS Security Token Service API
Reference: AssumeRole; IAM User Guide: "IAM and AWS STS quotas"). AWS does not say how it packs. The share that is
returned as PackedPolicySize is estimated here: the policy by its zlib size of `_POLICY_BYTES`, tags by their characters
of `_TAG_CHARACTERS`, which fits the six tags of EKS Pod Identity that take 74 % (aws/containers-roadmap#2413).
"""

import json
import zlib
from typing import Any

from ministack.services import sts

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.iam.sessions import read_request
from outpost_local.realism import Realism

_POLICY_CHARACTERS = 2048
_POLICY_BYTES = 1024
_TAG_CHARACTERS = 368
_TAGS, _TAG_KEY, _TAG_VALUE = 50, 128, 256


def install(_realism: Realism) -> None:
    """Check a request before MiniStack's AssumeRole, and write the packed size into its response."""
    handle = sts.handle_request

    async def handle_measured(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        request = read_request(headers, body, query)
        if request.get("Action") != "AssumeRole":
            return await handle(method, path, headers, body, query)  # type: ignore[no-any-return]
        policy, tags = str(request.get("Policy") or ""), _tags(request)
        packed = _packed_percent(policy, tags)
        problem = _problem(policy, tags, packed)
        if problem:
            return sts._error(400, *problem, ns="sts")  # type: ignore[no-any-return]
        status, response_headers, response = await handle(method, path, headers, body, query)
        return status, response_headers, _with_size(response, packed)

    sts.handle_request = handle_measured


def _tags(request: dict[str, Any]) -> dict[str, str]:
    if isinstance(request.get("Tags"), list):
        return {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
    return {tag["Key"]: tag["Value"] for tag in sts._extract_tags(request)}


def _packed_percent(policy: str, tags: dict[str, str]) -> int:
    packed = len(zlib.compress(policy.encode(), 9)) if policy else 0
    characters = sum(len(key) + len(value) for key, value in tags.items())
    return round(100 * (packed / _POLICY_BYTES + characters / _TAG_CHARACTERS))


def _problem(policy: str, tags: dict[str, str], packed: int) -> tuple[str, str] | None:
    """Return the code and the message of a refusal."""
    too_long = "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must have length less "
    too_long += "than or equal to {}"
    if len(policy) > _POLICY_CHARACTERS:
        return "ValidationError", too_long.format("policy", _POLICY_CHARACTERS)
    if len(tags) > _TAGS:
        return "ValidationError", too_long.format("tags", _TAGS)
    for key, value in tags.items():
        if len(key) > _TAG_KEY or len(value) > _TAG_VALUE:
            longest = _TAG_KEY if len(key) > _TAG_KEY else _TAG_VALUE
            return "ValidationError", too_long.format(f"tags.{key[:_TAG_KEY]}", longest)
    if packed > 100:
        what = "Packed size of session tags" if tags else "Packed policy"
        return "PackedPolicyTooLarge", f"{what} consumes {packed}% of allotted space, please use smaller policy."
    return None


def _with_size(response: bytes, packed: int) -> bytes:
    if response[:1] == b"{":
        return json.dumps(json.loads(response) | {"PackedPolicySize": packed}).encode()
    return response.replace(b"<PackedPolicySize>0<", f"<PackedPolicySize>{packed}<".encode())
