"""A worker's settings, from its variables, and its identity, from the ECS metadata endpoint."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.error import URLError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from outpost.domain.agents import CATALOGUE, Agent
from outpost.names import Env

METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_METADATA_TIMEOUT = 5.0


class SettingsError(Exception):
    """The worker cannot start; the text names the variable and the remedy."""


@dataclass(frozen=True)
class Identity:
    """The ECS task that this worker is."""

    task_arn: str
    revision: int
    vcpu: float
    """Size of the task, which is what is paid for."""
    memory_mib: float

    @property
    def worker_id(self) -> str:
        """The ECS task's id."""
        return self.task_arn.rpartition("/")[2]


def _listed(value: object) -> object:
    """Return the parts of a comma-separated text."""
    return {part.strip() for part in value.split(",") if part.strip()} if isinstance(value, str) else value


class Settings(BaseModel):
    """Everything that a worker reads from its environment."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    agent: Agent = Field(alias=Env.AGENT)
    environment: str = Field(alias=Env.ENVIRONMENT)
    """Name of the environment, which claims are signed for."""
    queue_url: str = Field(alias=Env.QUEUE_URL)
    broker_function: str = Field(alias=Env.BROKER_FUNCTION)
    git_base_url: str = Field(alias=Env.GIT_BASE_URL)
    git_allowed_hosts: Annotated[frozenset[str], BeforeValidator(_listed)] = Field(
        frozenset(), alias=Env.GIT_ALLOWED_HOSTS
    )
    launcher: Path | None
    """Runs the agent as a uid of its own; None only where isolation is switched off explicitly."""
    agent_path: str = Field("/usr/local/bin:/usr/bin:/bin", alias="PATH")
    """The agent's PATH."""
    metadata_url: str = Field(alias=METADATA_VARIABLE)
    workspaces: Path = Field(alias=Env.WORKSPACES_PATH)
    """Where persistent workspaces are kept."""
    forge_url: str | None = Field(None, alias=Env.FORGE_URL)
    """The forge's API; None where promotions only push."""
    capacity: Literal["spot", "on-demand"] | None = Field(None, alias=Env.CAPACITY)
    """What the planner launched this worker on."""
    model_url: str | None = Field(None, alias=Env.MODEL_URL, pattern="^(https://|http://127\\.0\\.0\\.1:)")
    """Where the agent's provider is, when not at its own address: a gateway that speaks the same API.

    A key goes there: over TLS, or not beyond this machine.
    """


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Validate the environment. Raises `SettingsError`."""
    given = {name: value for name, value in environment.items() if value}
    try:
        return Settings.model_validate({**given, "launcher": _launcher(given)})
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0]
        if first["type"] == "missing":
            raise SettingsError(f"{name} is not set: the task definition must set it") from None
        raise SettingsError(f"{name} is {first['input']!r}, set it to another value: {first['msg']}") from None


def _launcher(given: Mapping[str, str]) -> Path | None:
    """Isolation is on unless it is switched off explicitly; a missing launcher is an error."""
    isolation = given.get(Env.ISOLATION)
    if isolation == "none":
        return None
    if isolation:
        raise SettingsError(f"{Env.ISOLATION} is {isolation!r}: leave it out, or set it to 'none' on a laptop")
    launcher = given.get(Env.AGENT_LAUNCHER, "")
    if not Path(launcher).is_file():
        raise SettingsError(f"{Env.AGENT_LAUNCHER} is {launcher!r}, which is no file: rebuild the image")
    return Path(launcher)


def read_identity(metadata_url: str, agent: Agent) -> Identity:
    """Return the ECS task that this is; where ECS gives no size, the agent's usual one. Raises `SettingsError`."""
    try:
        with urllib.request.urlopen(f"{metadata_url}/task", timeout=_METADATA_TIMEOUT) as response:  # noqa: S310 - ECS's
            task = json.load(response)
        usual = CATALOGUE[agent]
        size = task.get("Limits") or {"CPU": usual.cpu / 1024, "Memory": usual.memory}
        return Identity(task["TaskARN"], int(task["Revision"]), float(size["CPU"]), float(size["Memory"]))
    except (URLError, OSError, KeyError, ValueError) as error:
        raise SettingsError(f"{METADATA_VARIABLE} ({metadata_url}) returns no task: {error!r}") from error
