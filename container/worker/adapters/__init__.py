"""The adapters: how each agent's CLI is run. A sixth agent is one file here and one line below (docs/agents.md)."""

from outpost.domain.agents import Agent
from worker.adapters.aider import Aider
from worker.adapters.base import Adapter
from worker.adapters.claude import Claude
from worker.adapters.codex import Codex
from worker.adapters.gemini import Gemini
from worker.adapters.grok import Grok
from worker.adapters.shell import Shell

ADAPTERS: dict[Agent, Adapter] = {
    Agent.CLAUDE: Claude(),
    Agent.CODEX: Codex(),
    Agent.GEMINI: Gemini(),
    Agent.AIDER: Aider(),
    Agent.GROK: Grok(),
    Agent.SHELL: Shell(),
}
