"""The model providers: where each is, how it takes its key, and which of its calls an agent may make."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Provider:
    """One provider's API, as the harness's model proxy serves it to an agent."""

    name: str
    url: str
    """Scheme and host; the agent's path is appended."""
    key_header: str
    key_scheme: str
    """What precedes the key in the header."""
    calls: re.Pattern[str]
    """`METHOD /path` of every call that an agent may make; all others are refused."""
    rejections: frozenset[int] = frozenset({401, 403})
    """Statuses that may mean that the key is no longer valid."""
    usage_on_request: bool = False
    """The stream tells its tokens only when the request asks for them."""


_CHAT = r"POST (/v1|/beta)?/chat/completions|GET (/v1)?/models"

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            "anthropic",
            "https://api.anthropic.com",
            key_header="x-api-key",
            key_scheme="",
            calls=re.compile(r"POST /v1/messages(/count_tokens)?|GET /v1/models(/[\w.-]+)?"),
        ),
        Provider(
            "openai",
            "https://api.openai.com",
            key_header="authorization",
            key_scheme="Bearer ",
            calls=re.compile(r"POST /v1/responses(/compact)?|GET /v1/models(/[\w.-]+)?"),
        ),
        Provider(
            "google",
            "https://generativelanguage.googleapis.com",
            key_header="x-goog-api-key",
            key_scheme="",
            calls=re.compile(
                r"POST /v1(beta)?/models/[\w.-]+:(generateContent|streamGenerateContent|countTokens|embedContent)"
                r"|GET /v1(beta)?/models(/[\w.-]+)?"
            ),
            rejections=frozenset({400, 401, 403}),
        ),
        Provider(
            "deepseek",
            "https://api.deepseek.com",
            key_header="authorization",
            key_scheme="Bearer ",
            calls=re.compile(_CHAT),
            usage_on_request=True,
        ),
        Provider(
            "xai",
            "https://api.x.ai",
            key_header="authorization",
            key_scheme="Bearer ",
            calls=re.compile(_CHAT),
            usage_on_request=True,
        ),
    )
}
