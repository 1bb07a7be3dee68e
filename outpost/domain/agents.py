"""The agent catalogue: which CLI runs a task, what it needs, and how an environment configures it."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from outpost.domain.providers import BEDROCK


class Agent(StrEnum):
    """The agents that a dispatch can name."""

    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"
    AIDER = "aider"
    GROK = "grok"
    OPENCODE = "opencode"
    COPILOT = "copilot"
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
    """Whether the URL of its provider can be set. If not, it runs with a tenant's own key only."""


CATALOGUE: dict[Agent, CatalogueEntry] = {
    entry.agent: entry
    for entry in (
        CatalogueEntry(Agent.CLAUDE, "anthropic", ("ANTHROPIC_API_KEY",), 2048, 4096),
        CatalogueEntry(Agent.CODEX, "openai", ("OPENAI_API_KEY",), 1024, 2048),
        CatalogueEntry(Agent.GEMINI, "google", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), 1024, 2048),
        CatalogueEntry(Agent.AIDER, "deepseek", ("DEEPSEEK_API_KEY",), 512, 1024),
        CatalogueEntry(Agent.GROK, "xai", ("XAI_API_KEY", "GROK_API_KEY"), 1024, 2048),
        CatalogueEntry(Agent.OPENCODE, "anthropic", ("ANTHROPIC_API_KEY",), 1024, 2048),
        CatalogueEntry(Agent.COPILOT, "openai", ("OPENAI_API_KEY", "COPILOT_PROVIDER_API_KEY"), 1024, 2048),
        CatalogueEntry(Agent.SHELL, None, (), 256, 512, no_progress_seconds=3_600),
    )
}


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = get_args(Day)


class WarmWindow(BaseModel):
    """Hours of the week (UTC) with a warm target of their own; one that ends before it starts goes past midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[Day, ...] = Field(default=_DAYS, max_length=len(_DAYS))
    start: time
    end: time
    warm: int = Field(ge=0, le=100)

    def covers(self, at: datetime) -> bool:
        """Return whether a moment lies in the window; the day is the one on which the window started."""
        moment = at.astimezone(UTC)
        if self.start < self.end:
            return self._on(moment) and self.start <= moment.time() < self.end
        late = self._on(moment) and moment.time() >= self.start
        return late or (self._on(moment - timedelta(days=1)) and moment.time() < self.end)

    def _on(self, moment: datetime) -> bool:
        return _DAYS[moment.weekday()] in self.days


SILENCE_SECONDS = range(30, 86_401)
"""What an environment may configure; not a bound of the field, so that tests need not wait as long."""
MAX_WARM_WINDOWS = 16
"""An agent's settings have to fit into an SSM parameter, 4,096 characters: a window takes up to 123 of them."""


def worker_family(agent: Agent, environment: str) -> str:
    """Return the family that the planner launches; a name, because it takes the latest revision, not a certain one."""
    return f"outpost-{environment}-{agent}"


class AgentTunables(BaseModel):
    """What an environment configures of an agent, and what runs it reads: declared here for both.

    Descriptions are those of docs/configuration.md: what is allowed in `config/<name>.toml`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[Alias, Annotated[str, Field(min_length=1, max_length=128)]] = Field(
        default_factory=dict,
        description="alias (flagship, balanced, fast) -> model id; flagship is the default; "
        "ids of `outpost/domain/models.toml`, others have no price; synth warns from 60 days before one retires",
    )
    warm: int = Field(default=0, ge=0, le=100, description="idle workers kept ready, not above limit")
    warm_windows: tuple[WarmWindow, ...] = Field(
        default=(),
        max_length=MAX_WARM_WINDOWS,
        description=f"hours of the week (UTC), another warm target, {MAX_WARM_WINDOWS} at most: days, start, end, warm",
    )
    limit: int = Field(default=100, ge=1, le=5000, description="most workers at once")
    spot_share: int = Field(
        default=0, ge=0, le=100, description="percent of launches that try Fargate Spot before on-demand"
    )
    token_budget: int | None = Field(
        default=None,
        ge=1,
        description="model tokens that one dispatch may use: in and out, cached input included; a call is refused when "
        "what it could use at most, 10,000 to 2 million, is not left; left out: no limit",
    )
    no_progress_seconds: int | None = Field(
        default=None,
        gt=0,
        description="seconds that it may print nothing before it is ended as stuck, "
        f"{SILENCE_SECONDS.start} to {SILENCE_SECONDS.stop - 1}; left out: "
        f"{CatalogueEntry.no_progress_seconds}, shell {CATALOGUE[Agent.SHELL].no_progress_seconds}",
    )


class AgentSettings(AgentTunables):
    """An agent as one environment configures and deploys it: the content of its SSM parameter, as JSON.

    `models` is empty for an agent without a model.
    """

    queue_url: str
    family: str
    """Task definition family: RunTask takes its latest active revision."""
    task_role_arn: str | None = None
    """The role of its workers' tasks; known to functions only."""
    provider_secret_arn: str | None = None
    bedrock_region: str | None = None
    """Where its models are called at Bedrock; None: at its own provider."""

    def provider_of(self, agent: Agent) -> str | None:
        """Return the provider that the agent's models are called at; None for an agent without a model."""
        return CATALOGUE[agent].provider if self.bedrock_region is None else BEDROCK

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
            return self.models[Alias(wanted)]
        if wanted in self.models.values():
            return wanted
        offered = ", ".join(sorted({*self.models, *self.models.values()}))
        msg = f"modelId {wanted!r} is not offered here; use one of: {offered}"
        raise ValueError(msg)
