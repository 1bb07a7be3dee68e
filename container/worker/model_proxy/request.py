"""A model call as an agent requests it: its body, the models that it names, and the most tokens that it could use.

The provider gets the body as it was read here, written again: what one parser reads and another does not, such as a
field that is there twice, never reaches it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from io import BufferedIOBase
from typing import Any

from outpost.domain.providers import Provider
from outpost.domain.usage import Tokens

MAX_REQUEST_BYTES = 64 * 1024 * 1024
_DIGITS = re.compile("[0-9a-fA-F]{1,16}")
HIDDEN_TOKENS = 1_000
"""Input that providers add: Anthropic's instructions for tools take up to 700 (platform.claude.com, "Tool use")."""
_MODEL_IN_PATH = re.compile(r"/models/([\w.-]+):")
_READ_HERE = frozenset(
    {"model", "models", "fallbacks", "tools", "stream", "stream_options", "n", "candidate_count", "generation_config"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "background", "deferred", "prompt"}
    | {
        "input",
        "mcp_servers",
        "previous_response_id",
        "conversation",
        "cached_content",
        "container",
        "search_parameters",
        "service_tier",
        "speed",
        "inference_geo",
    }
)
"""Fields that are read here, as the providers' references spell them; Google takes them in camel case as well."""
_ESCAPING = ("background", "deferred", "prompt", "models")
"""Fields of calls whose tokens are used after the response, or by a model that is not named in the request."""
_AT_LIST_PRICE = {
    "service_tier": frozenset({"auto", "default", "standard", "standard_only", "flex", "scale"}),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global"}),
}
"""Fields that choose a price, and their values whose price is not above the list's: others cost up to six times as much
(developers.openai.com and platform.claude.com, "Fast mode"; platform.claude.com, "Service tiers")."""
_HELD_ELSEWHERE = ("mcp_servers", "previous_response_id", "conversation", "cached_content", "container")
"""Fields that stand for input that is not in the request."""
_NOT_TEXT = re.compile(
    rb'"type":"(image|document|input_file|input_image|item_reference|container_upload|compact_\d+)"'
    rb'|"(image_url|file_id|file_url|file_data|file_uri|fileUri|fileData|inline_data|inlineData|input_audio)":'
)
"""Parts of a body whose tokens are not limited by their bytes."""
_AGENTS_TOOLS = re.compile(
    r"custom|function|namespace|local_shell|apply_patch|computer|(bash|text_editor|computer|memory)_\w+"
)
"""Types of tools that the agent runs itself; the provider runs the others, and reads their results as input."""


class RefusedError(Exception):
    """A request that the proxy does not forward."""

    def __init__(self, status: int, message: str) -> None:
        """`status` of HTTP; `message` as the CLI's output shows it."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ModelRequest:
    """A call that may be passed on."""

    model: str
    body: bytes
    most: Tokens
    """The most that it could use."""
    sent: int = 0
    """The most tokens of the request itself: charged as input when the provider reports none."""
    tools: frozenset[str] = frozenset()
    """Names of the tools that it offers to the model."""


def read_request(provider: Provider, path: str, body: bytes, models: frozenset[str]) -> ModelRequest:
    """Return the call that a request asks for. Raises `RefusedError` for what is malformed, and for other models."""
    content = _object(body)
    fields = _fields(content, camel=provider.api == "google")
    for name in _ESCAPING:
        if fields.get(name):
            raise RefusedError(400, f"{name!r} is not open to agents: what such a call uses cannot be counted")
    _check_price(fields)
    named = _named(path, fields, models)
    largest = _largest(provider, named)
    if provider.usage_on_request and fields.get("stream"):
        content["stream_options"] = {**_mapping(fields, "stream_options"), "include_usage": True}
    written = _written(content)
    attempts = 1 + sum(1 for _ in _parts(fields, "fallbacks"))
    most = Tokens(
        input=_most_input(provider, fields, body, written, largest.input) * attempts,
        output=_most_output(provider, fields, largest.output) * attempts,
    )
    return ModelRequest(
        named[0], written, most, sent=min(_most_text(body), most.input), tools=frozenset(_tool_names(fields))
    )


def _check_price(fields: Mapping[str, Any]) -> None:
    """Raise `RefusedError` for a call that costs more than its tokens do by the list."""
    for part in (fields, *_parts(fields, "fallbacks")):
        for name, values in _AT_LIST_PRICE.items():
            value = part.get(name)
            if value is not None and str(value).lower() not in values:
                allowed = ", ".join(sorted(values))
                message = f"{name} {str(value)[:100]!r} costs more than the list price: use one of {allowed}"
                raise RefusedError(400, message)


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body.decode())  # UTF-8 alone: in other encodings a token may take less than a byte
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON in UTF-8") from error
    if not isinstance(content, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return content


def _written(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body holds a number that JSON does not have") from error


def _fields(content: Mapping[str, Any], *, camel: bool) -> dict[str, Any]:
    """Return the fields that are read here, by their names in snake case."""
    known = {name.replace("_", ""): name for name in _READ_HERE}
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = known.get(key.replace("_", "").lower())
        if name is None:
            continue
        first, *rest = name.split("_")
        spellings = {name, first + "".join(map(str.title, rest))} if camel else {name}
        if key not in spellings or name in found:
            raise RefusedError(400, f"{key!r} is not the only spelling of a field, or no spelling of it: use {name!r}")
        found[name] = value
    return found


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise RefusedError(400, f"{name!r} is not an object")
    return value or {}


def _named(path: str, fields: Mapping[str, Any], models: frozenset[str]) -> list[str]:
    """Return the models that a call may use, the path's or body's first. Raises `RefusedError` for any not allowed."""
    in_path = _MODEL_IN_PATH.search(path)
    named = [in_path[1]] if in_path else [fields.get("model")]
    if in_path and "model" in fields:
        named.append(str(fields["model"]).removeprefix("models/"))
    named += [part["model"] for part in (*_tools(fields), *_parts(fields, "fallbacks")) if "model" in part]
    for model in named:
        if not isinstance(model, str) or model not in models:
            offered = ", ".join(sorted(models)) or "none"
            raise RefusedError(404, f"the model {str(model)[:100]!r} is not one of this agent's: {offered}")
    return [str(model) for model in named]


def _largest(provider: Provider, named: list[str]) -> Tokens:
    calls = [provider.largest_call(model) for model in named]
    return Tokens(input=max(call.input for call in calls), output=max(call.output for call in calls))


def _parts(fields: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise RefusedError(400, f"{name!r} is not a list of objects")
    yield from value


def _tools(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tools of a call, those of namespaces and of OpenAI's input items `additional_tools` as well."""
    items = fields.get("input")
    more = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    holders = [fields, *(item for item in more if item.get("type") == "additional_tools")]
    while holders:
        for tool in _parts(holders.pop(), "tools"):
            yield tool
            holders.append(tool)


def _tool_names(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of tools as each provider spells them; the type of a tool that has none."""
    for tool in _parts(fields, "tools"):
        inner = tool.get("functionDeclarations") or tool.get("function_declarations") or [tool.get("function", tool)]
        for each in inner if isinstance(inner, list) else []:
            if isinstance(each, Mapping) and isinstance(name := each.get("name") or each.get("type"), str):
                yield name


def _most_input(provider: Provider, fields: Mapping[str, Any], body: bytes, written: bytes, largest: int) -> int:
    """Return the most tokens of input: one a byte, for a token stands for at least one byte of text.

    Images, files and results of the provider's tools are not text of the request: with them, all that a model can read.
    """
    elsewhere = any(fields.get(name) for name in _HELD_ELSEWHERE)
    searches = fields.get("search_parameters") and _mapping(fields, "search_parameters").get("mode") != "off"
    hosted = any(_is_hosted(tool, provider) for tool in _tools(fields))
    if elsewhere or searches or hosted or _NOT_TEXT.search(written):
        return largest
    return min(_most_text(body), largest)


def _most_text(body: bytes) -> int:
    return len(body) + HIDDEN_TOKENS


def _is_hosted(tool: Mapping[str, Any], provider: Provider) -> bool:
    if provider.api == "google":
        return not tool.keys() <= {"functionDeclarations", "function_declarations"}
    return "type" in tool and not _AGENTS_TOOLS.fullmatch(str(tool["type"]))


def _most_output(provider: Provider, fields: Mapping[str, Any], largest: int) -> int:
    """Return the most tokens of output: the request's limit, or what the model writes without one, for each choice."""
    if provider.api == "google":
        fields = _fields(_mapping(fields, "generation_config"), camel=True)
    limits = [limit for name in provider.output_limits if (limit := _count(fields, name)) is not None]
    choices = max(_count(fields, "n") or 1, _count(fields, "candidate_count") or 1)
    return max(limits, default=largest) * choices


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise RefusedError(400, f"{name!r} is not a whole number above 0")
    return value


def read_body(headers: Message, file: BufferedIOBase) -> bytes:
    """Return a request's body (RFC 9112, 6). Raises `RefusedError`: compressed, too large, or of no known length."""
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusedError(415, "the body is compressed: send it as it is")
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return _chunks(file)
    return file.read(_head_length(headers.get("Content-Length", "0"), base=10))


def _chunks(file: BufferedIOBase) -> bytes:
    body = bytearray()
    while size := _head_length(file.readline(64).partition(b";")[0].strip().decode("latin-1"), base=16):
        if len(body) + size > MAX_REQUEST_BYTES:
            raise RefusedError(413, f"a request has at most {MAX_REQUEST_BYTES} bytes")
        body += file.read(size)
        file.readline(64)
    file.readline(64)
    return bytes(body)


def _head_length(text: str, base: int) -> int:
    """Return a length from a request's head. Raises `RefusedError`."""
    try:
        length = int(text, base) if _DIGITS.fullmatch(text) else -1
    except ValueError:
        length = -1
    if not 0 <= length <= MAX_REQUEST_BYTES:
        raise RefusedError(413, f"{text!r} is no length, or a request of more than {MAX_REQUEST_BYTES} bytes")
    return length
