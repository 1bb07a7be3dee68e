"""The adapters: how each agent's CLI is run. A sixth agent is one file here and one line below."""

from outpost.domain.agents import Agent
from worker.adapters.base import Adapter
from worker.adapters.shell import Shell

ADAPTERS: dict[Agent, Adapter] = {Agent.SHELL: Shell()}
