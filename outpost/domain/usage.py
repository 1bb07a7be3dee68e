"""What a dispatch consumed: tokens as providers count them, compute as Fargate bills it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tokens:
    """Tokens of one or more model calls."""

    input: int = 0
    """All that went in, from the cache or not."""
    cached: int = 0
    """Of the input: read from the provider's cache."""
    cache_write: int = 0
    """Of the input: written to the provider's cache."""
    output: int = 0
    """All that came out, reasoning included."""

    def __add__(self, other: "Tokens") -> "Tokens":
        """Return the sum."""
        return Tokens(
            self.input + other.input,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.output + other.output,
        )

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.output


def tokens_of(usage: Mapping[str, Any]) -> Tokens:
    """Read a provider's usage object: Anthropic's, OpenAI's two, or Google's; what it does not name counts 0."""
    if "promptTokenCount" in usage:
        return Tokens(
            input=_count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount"),
            cached=_count(usage, "cachedContentTokenCount"),
            output=_count(usage, "candidatesTokenCount") + _count(usage, "thoughtsTokenCount"),
        )
    if "prompt_tokens" in usage:
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        details = usage.get("prompt_tokens_details") or {}
        # xAI counts reasoning beside the completion, others within it; the total holds it either way.
        output = max(completion, _count(usage, "total_tokens") - prompt)
        return Tokens(input=prompt, cached=_count(details, "cached_tokens"), output=output)
    iterations = usage.get("iterations")
    if isinstance(iterations, list) and (parts := [part for part in iterations if isinstance(part, dict)]):
        # Anthropic leaves compaction and advisors out of the totals ("Compaction at a token threshold").
        totals = tokens_of({name: value for name, value in usage.items() if name != "iterations"})
        return max(totals, sum(map(tokens_of, parts), Tokens()), key=lambda tokens: tokens.total)
    cached, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    details = usage.get("input_tokens_details") or {}
    return Tokens(
        # Anthropic counts what the cache served and took beside the rest of the input, OpenAI within it.
        input=_count(usage, "input_tokens") + cached + written,
        cached=cached + _count(details, "cached_tokens"),
        cache_write=written,
        output=_count(usage, "output_tokens"),
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def compute_seconds(vcpu: float, memory_mib: float, seconds: float) -> tuple[float, float]:
    """Return vCPU-seconds and GB-seconds of a task of this size that ran for `seconds`."""
    return round(vcpu * seconds, 3), round(memory_mib / 1024 * seconds, 3)
