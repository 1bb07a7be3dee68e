"""The adapters: how each agent's CLI is run. An agent's is the only one in the module of its name (docs/agents.md)."""

from importlib import import_module

from outpost.domain.agents import Agent
from worker.adapters.base import Adapter


def _adapter(agent: Agent) -> Adapter:
    module = import_module(f"worker.adapters.{agent}")
    (kind,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Adapter) and each.__module__ == module.__name__
    )
    return kind()


ADAPTERS: dict[Agent, Adapter] = {agent: _adapter(agent) for agent in Agent}
