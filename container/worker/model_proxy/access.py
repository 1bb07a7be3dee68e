"""How an agent reaches its model: through the proxy with a token, or, where its CLI cannot, with a tenant's own key.

On Bedrock there is no key: the proxy signs with the attempt's credentials.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from outpost.domain.agents import CATALOGUE, Agent, CatalogueEntry
from outpost.domain.models import provider_id
from outpost.domain.providers import PROVIDERS, on_bedrock
from worker.model_proxy.calls import ModelCalls
from worker.model_proxy.meter import Meter, Purse
from worker.model_proxy.server import ModelProxy
from worker.model_proxy.upstream import ProviderKey, Signer


class ModelKeyError(Exception):
    """There is no key that this agent may run with; the text names what is missing."""


@dataclass(frozen=True)
class ModelAccess:
    """What an agent is given to reach its model."""

    environment: Mapping[str, str] = field(default_factory=dict)
    base_url: str | None = None
    meter: Meter = field(default_factory=Meter)
    calls: ModelCalls | None = None
    """The record of the model calls; None where they do not pass through the proxy, or there is no model."""
    bedrock: str | None = None
    """The region of Bedrock, where it serves the provider's API."""


@dataclass(frozen=True)
class ModelKey:
    """A provider's key."""

    value: str = field(repr=False)
    read_again: Callable[[], str]
    own: bool
    """Whether it is the tenant's, who may give it to its agent, and not the platform's."""


@contextmanager
def model_access(
    agent: Agent,
    key: ModelKey | Signer | None,
    *,
    upstream: str | None,
    budget: int | None,
    models: Iterable[str],
    purse: Purse | None = None,
) -> Iterator[ModelAccess]:
    """Serve the agent's provider while the block lasts; nothing where the agent has none. Raises `ModelKeyError`.

    `upstream` replaces the provider's address; `budget` is in tokens, `purse` in dollars; `models` are the ids of those
    that may be called.
    """
    entry = CATALOGUE[agent]
    if entry.provider is None:
        yield ModelAccess()
    elif key is None:
        names = " or ".join(entry.token_variables)
        raise ModelKeyError(f"there is no key of {entry.provider}: neither the platform's nor a secret {names}")
    elif entry.takes_base_url:
        allowed = frozenset(map(provider_id, models))
        with _proxy(entry.provider, key, upstream, Meter(budget, purse), allowed) as proxy:
            bedrock = key.region if isinstance(key, Signer) else None
            yield ModelAccess(_tokens(entry, proxy.token), proxy.url, proxy.meter, proxy.calls, bedrock)
    elif purse is not None:
        raise ModelKeyError(f"{agent} cannot use the model proxy, which a budget in dollars needs")
    elif isinstance(key, ModelKey) and key.own:
        yield ModelAccess(_tokens(entry, key.value))
    else:
        raise ModelKeyError(
            f"{agent} cannot use the platform's model proxy, and the platform's key is not given to agents: "
            f"store a key of your own as secret {entry.token_variables[0]} and name it in additionalSecrets"
        )


def _proxy(name: str, key: ModelKey | Signer, upstream: str | None, meter: Meter, models: frozenset[str]) -> ModelProxy:
    if isinstance(key, Signer):
        provider = on_bedrock(name, key.region)
        return ModelProxy(provider, upstream or provider.url, key, lambda: key, meter, models)
    provider, read = PROVIDERS[name], key.read_again
    first = ProviderKey(provider, key.value)
    return ModelProxy(provider, upstream or provider.url, first, lambda: ProviderKey(provider, read()), meter, models)


def _tokens(entry: CatalogueEntry, token: str) -> dict[str, str]:
    return dict.fromkeys(entry.token_variables, token)
