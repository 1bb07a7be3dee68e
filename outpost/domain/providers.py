"""The model providers: where each is, how it takes its key, which of its calls an agent may make, and their limits."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from outpost.domain.models import find_model, models
from outpost.domain.usage import Tokens


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider's API, as the harness's model proxy serves it to an agent; the defaults are OpenAI's."""

    name: str
    url: str
    """Scheme and host; the agent's path is appended."""
    key_header: str = "authorization"
    key_scheme: str = "Bearer "
    """What precedes the key in the header."""
    api: Literal["anthropic", "openai", "google"] = "openai"
    """Whose form requests and errors have."""
    generations: re.Pattern[str]
    """`METHOD /path` of every call that uses tokens and that an agent may make."""
    lookups: re.Pattern[str] = re.compile(r"GET /v1/models(/[\w.-]+)?")
    """Those that an agent may make and that use no tokens. All others are refused: batches, files, fine-tuning."""
    output_limits: tuple[str, ...] = ("max_output_tokens",)
    """Fields of a request that limit the output."""
    rejections: frozenset[int] = frozenset({401, 403})
    """Statuses that may mean that the key is no longer valid."""
    unauthorized: frozenset[int] = frozenset({401})
    """Statuses that some CLIs take for a reason to try again for minutes, though nothing can change."""
    usage_on_request: bool = False
    """The stream reports its usage only when the request asks for it."""
    path: str = ""
    """What precedes the agent's path at the provider."""

    def largest_call(self, model: str) -> Tokens:
        """Return the most that a call can read and, where it sets no limit, write.

        Of a model that is not in `models.toml`: the most of any model of the provider.
        """
        known = find_model(model)
        could_be = [known] if known else [each for each in models() if each.provider == self.name]
        return Tokens(
            input=max(each.context_window for each in could_be),
            output=max(each.largest_output for each in could_be),
        )


_CHAT = re.compile(r"POST (/v1|/beta)?/chat/completions")
_CHAT_LOOKUPS = re.compile(r"GET (/v1)?/models")

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="anthropic",
            url="https://api.anthropic.com",
            key_header="x-api-key",
            key_scheme="",
            api="anthropic",
            generations=re.compile(r"POST /v1/messages"),
            lookups=re.compile(r"POST /v1/messages/count_tokens|GET /v1/models(/[\w.-]+)?"),
            output_limits=("max_tokens",),
        ),
        Provider(
            name="openai",
            url="https://api.openai.com",
            generations=re.compile(r"POST /v1/responses(/compact)?"),
        ),
        Provider(
            name="google",
            url="https://generativelanguage.googleapis.com",
            key_header="x-goog-api-key",
            key_scheme="",
            api="google",
            generations=re.compile(r"POST /v1(beta)?/models/[\w.-]+:(generateContent|streamGenerateContent)"),
            lookups=re.compile(r"POST /v1(beta)?/models/[\w.-]+:countTokens|GET /v1(beta)?/models(/[\w.-]+)?"),
            rejections=frozenset({400, 401, 403}),
        ),
        Provider(
            name="deepseek",
            url="https://api.deepseek.com",
            generations=_CHAT,
            lookups=_CHAT_LOOKUPS,
            output_limits=("max_tokens",),
            usage_on_request=True,
        ),
        Provider(
            name="xai",
            url="https://api.x.ai",
            generations=re.compile(r"POST /v1/responses"),
        ),
    )
}

BEDROCK = "bedrock"
"""The name of Amazon Bedrock, where it takes the place of an agent's own provider."""
NAMES = (*PROVIDERS, BEDROCK)
"""All providers that an agent's models can be called at."""
_ON_BEDROCK: dict[str, tuple[str, re.Pattern[str]]] = {
    "anthropic": ("/anthropic", re.compile(r"POST /v1/messages")),
    "openai": ("/openai", re.compile(r"POST /v1/responses")),
}
"""Provider -> where Bedrock serves its API, and the calls of it that Bedrock documents for agents."""
_NONE = re.compile(r"(?!)")


def has_bedrock(provider: str | None) -> bool:
    """Return whether Bedrock serves the provider's API."""
    return provider in _ON_BEDROCK


def on_bedrock(provider: str, region: str) -> Provider:
    """Return a provider's API as Bedrock serves it in a region, to signed requests. Raises `KeyError` for the others.

    The `bedrock-runtime` endpoint takes Anthropic's Messages and OpenAI's Responses as they are, with server-sent
    events (Amazon Bedrock User Guide, "Inference using Anthropic Messages API", "Responses API", November 2026).
    """
    path, generations = _ON_BEDROCK[provider]
    url = f"https://bedrock-runtime.{region}.amazonaws.com"
    return replace(
        PROVIDERS[provider],
        name=BEDROCK,
        url=url,
        path=path,
        generations=generations,
        lookups=_NONE,
        unauthorized=frozenset({401, 403}),
    )
