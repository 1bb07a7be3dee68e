"""What model calls cost: the providers' list prices."""

from collections.abc import Mapping
from dataclasses import dataclass

from outpost.domain.usage import Tokens

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float
    cached: float
    """Input that the provider's cache served."""
    cache_write: float | None = None
    """Input that the provider's cache took; None: the price of input."""

    def of(self, tokens: Tokens) -> float:
        """Return the cost in US dollars."""
        plain = tokens.input - tokens.cached - tokens.cache_write
        written = self.input if self.cache_write is None else self.cache_write
        whole = plain * self.input + tokens.cached * self.cached + tokens.cache_write * written
        return (whole + tokens.output * self.output) / _MILLION


PRICES: dict[str, Price] = {
    "claude-opus-4-5": Price(5, 25, 0.5, 6.25),
    "claude-sonnet-4-5": Price(3, 15, 0.3, 3.75),
    "claude-haiku-4-5": Price(1, 5, 0.1, 1.25),
    "gpt-5.1-codex-max": Price(1.25, 10, 0.125),
    "gpt-5.1-codex-mini": Price(0.25, 2, 0.025),
    "gpt-5.1-codex": Price(1.25, 10, 0.125),
    "gemini-3-pro-preview": Price(2, 12, 0.2),
    "gemini-3-flash-preview": Price(0.5, 3, 0.05),
    "gemini-2.5-flash": Price(0.3, 2.5, 0.03),
    "deepseek-coder": Price(0.28, 0.42, 0.028),
    "deepseek-chat": Price(0.28, 0.42, 0.028),
    "deepseek-reasoner": Price(0.28, 0.42, 0.028),
    "grok-4-1-fast-reasoning": Price(0.2, 0.5, 0.05),
    "grok-4-1-fast-non-reasoning": Price(0.2, 0.5, 0.05),
    "grok-code-fast-1": Price(0.2, 1.5, 0.02),
}
"""Model id, or the beginning of dated ids -> price."""


def price_of(model: str) -> Price | None:
    """Return a model's price: of its id, without the date that may follow; None for a model without a price."""
    known = [name for name in PRICES if model == name or model.startswith(f"{name}-")]
    return PRICES[max(known, key=len)] if known else None


def cost(used: Mapping[str, Tokens]) -> float | None:
    """Return the cost in US dollars of model id -> tokens; None when a model has no price: no part counts as 0."""
    prices = {model: price_of(model) for model in used}
    if None in prices.values():
        return None
    return round(sum(price.of(used[model]) for model, price in prices.items() if price is not None), 6)
