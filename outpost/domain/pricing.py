"""What model calls cost: the providers' list prices, from `models.toml`."""

from collections.abc import Mapping

from outpost.domain.models import find_model
from outpost.domain.usage import Tokens


def cost(used: Mapping[str, Tokens]) -> float | None:
    """Return the cost in US dollars of model id -> tokens of one call; None when a model has no price.

    No part counts as 0. The tokens of several calls must not be added before: a long call may have a higher price.
    """
    known = {model: find_model(model) for model in used}
    if None in known.values():
        return None
    return sum(model.cost_of(used[name]) for name, model in known.items() if model is not None)


def most_cost(model: str, most: Tokens) -> float | None:
    """Return the most that a call could cost, in US dollars; None for a model without a price.

    Its input may all be written to the provider's cache, which costs more than reading it with some.
    """
    plain, written = Tokens(most.input, output=most.output), Tokens(most.input, 0, most.input, most.output)
    costs = [cost({model: tokens}) for tokens in (plain, written)]
    return max((each for each in costs if each is not None), default=None)
