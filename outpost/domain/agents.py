"""The agent catalogue: which CLI runs a task, what it needs, and how an environment configures it."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field


class Agent(StrEnum):
    """The agents that a dispatch can name."""

    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    AIDER = "aider"
    GROK = "grok"
    SHELL = "shell"


class Alias(StrEnum):
    """Names that every agent with models understands in place of a model id."""

    FLAGSHIP = "flagship"
    BALANCED = "balanced"
    FAST = "fast"


@dataclass(frozen=True)
class CatalogueEntry:
    """What is true of an agent in every environment. CPU in Fargate units (1,024 = 1 vCPU), memory in MiB."""

    agent: Agent
    provider: str | None
    """Name of the provider's key in Secrets Manager; None for an agent without a model."""
    token_variables: tuple[str, ...]
    """Variables that the CLI reads its (dummy) token from."""
    cpu: int
    memory: int
    no_progress_seconds: int = 1_800
    """How long it may print nothing before it counts as stuck; an environment may configure another time."""
    takes_base_url: bool = True
    """Whether the CLI can be told where its provider is. If not, it runs with a tenant's own key only."""


CATALOGUE: dict[Agent, CatalogueEntry] = {
    entry.agent: entry
    for entry in (
        CatalogueEntry(Agent.CLAUDE, "anthropic", ("ANTHROPIC_API_KEY",), 2048, 4096),
        CatalogueEntry(Agent.CODEX, "openai", ("OPENAI_API_KEY",), 1024, 2048),
        CatalogueEntry(Agent.GEMINI, "google", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), 1024, 2048),
        CatalogueEntry(Agent.AIDER, "deepseek", ("DEEPSEEK_API_KEY",), 512, 1024),
        CatalogueEntry(Agent.GROK, "xai", ("XAI_API_KEY", "GROK_API_KEY"), 1024, 2048),
        CatalogueEntry(Agent.SHELL, None, (), 256, 512, no_progress_seconds=3_600),
    )
}


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = get_args(Day)


class WarmWindow(BaseModel):
    """Hours of the week (UTC) with a warm target of their own; one that ends before it starts goes past midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[Day, ...] = _DAYS
    start: time
    end: time
    warm: int = Field(ge=0, le=100)

    def covers(self, at: datetime) -> bool:
        """Say whether a moment lies in the window; the day is the one on which the window started."""
        moment = at.astimezone(UTC)
        if self.start < self.end:
            return self._on(moment) and self.start <= moment.time() < self.end
        late = self._on(moment) and moment.time() >= self.start
        return late or (self._on(moment - timedelta(days=1)) and moment.time() < self.end)

    def _on(self, moment: datetime) -> bool:
        return _DAYS[moment.weekday()] in self.days


class AgentSettings(BaseModel):
    """An agent as one environment configures and deploys it; the value of `OUTPOST_AGENTS` is a JSON object of these.

    `models` maps each alias to a model id, `flagship` being the default; it is empty for an agent without a model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, str] = Field(default_factory=dict)
    warm: int = Field(default=0, ge=0)
    """Idle workers kept ready outside the windows."""
    warm_windows: tuple[WarmWindow, ...] = ()
    limit: int = Field(default=100, ge=1)
    """Most workers at once."""
    spot_share: int = Field(default=0, ge=0, le=100)
    """Percent of launches that try Fargate Spot first, and fall back to on-demand."""
    queue_url: str
    family: str
    """Task definition family: RunTask takes its latest active revision."""
    provider_secret_arn: str | None = None
    no_progress_seconds: int | None = Field(default=None, ge=1)
    """How long the agent may print nothing; None: the catalogue's."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens, in and out, that one dispatch may use; None: no limit."""

    def warm_at(self, at: datetime) -> int:
        """Return how many idle workers are kept ready at this time: the most that a window asks for."""
        return max((window.warm for window in self.warm_windows if window.covers(at)), default=self.warm)

    def resolve_model(self, requested: str | None) -> str | None:
        """Return the model id for an alias, a model id, or nothing (the flagship).

        Raises `ValueError` naming the models that this environment offers.
        """
        if not self.models:
            if requested is None:
                return None
            msg = f"modelId {requested!r} was given, but this agent runs no model: leave it out"
            raise ValueError(msg)
        wanted = requested or Alias.FLAGSHIP
        if wanted in self.models:
            return self.models[wanted]
        if wanted in self.models.values():
            return wanted
        offered = ", ".join(sorted({*self.models, *self.models.values()}))
        msg = f"modelId {wanted!r} is not offered here; use one of: {offered}"
        raise ValueError(msg)
