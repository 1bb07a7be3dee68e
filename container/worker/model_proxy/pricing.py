"""What model calls cost: the providers' list prices, from `models.toml`."""

from outpost.domain.models import find_model
from outpost.domain.usage import Tokens


def cost(model: str, call: Tokens) -> float | None:
    """Return the cost of one call in US dollars; None for a model without a price.

    The tokens of several calls must not be added before: a long call may have a higher price.
    """
    known = find_model(model)
    return known.cost_of(call) if known else None


def most_cost(model: str, most: Tokens) -> float | None:
    """Return the most that a call could cost, in US dollars; None for a model without a price.

    Its input may all be written to the provider's cache, which costs more than reading it with some.
    """
    known = find_model(model)
    plain, written = Tokens(most.input, output=most.output), Tokens(most.input, 0, most.input, most.output)
    return max(known.cost_of(plain), known.cost_of(written)) if known else None
