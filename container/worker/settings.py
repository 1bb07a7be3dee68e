"""A worker's settings, from its variables, and its identity, from the ECS metadata endpoint."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError

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


@dataclass(frozen=True)
class Settings:
    """Everything that a worker reads from its environment."""

    agent: Agent
    environment: str
    """Name of the environment, which claims are signed for."""
    queue_url: str
    broker_function: str
    git_base_url: str
    git_allowed_hosts: frozenset[str]
    launcher: Path | None
    """Runs the agent as a uid of its own; None only where isolation is switched off explicitly."""
    agent_path: str
    """The agent's PATH."""
    metadata_url: str
    workspaces: Path
    """Where persistent workspaces are kept."""
    forge_url: str | None = None
    """The forge's API; None where promotions only push."""
    capacity: Literal["spot", "on-demand"] | None = None
    """What the planner launched this worker on."""
    model_url: str | None = None
    """Where the agent's provider is, when not at its own address: a gateway that speaks the same API."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Validate the environment. Raises `SettingsError`."""
    agent = _required(environment, Env.AGENT)
    if agent not in list(Agent):
        raise SettingsError(f"{Env.AGENT} is {agent!r}: set it to one of {', '.join(Agent)}")
    hosts = environment.get(Env.GIT_ALLOWED_HOSTS, "")
    return Settings(
        agent=Agent(agent),
        environment=_required(environment, Env.ENVIRONMENT),
        queue_url=_required(environment, Env.QUEUE_URL),
        broker_function=_required(environment, Env.BROKER_FUNCTION),
        git_base_url=_required(environment, Env.GIT_BASE_URL),
        git_allowed_hosts=frozenset(host.strip() for host in hosts.split(",") if host.strip()),
        launcher=_launcher(environment),
        agent_path=environment.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        metadata_url=_required(environment, METADATA_VARIABLE),
        forge_url=environment.get(Env.FORGE_URL) or None,
        workspaces=Path(_required(environment, Env.WORKSPACES_PATH)),
        capacity=_capacity(environment),
        model_url=_model_url(environment),
    )


def _capacity(environment: Mapping[str, str]) -> Literal["spot", "on-demand"] | None:
    match environment.get(Env.CAPACITY):
        case "spot" | "on-demand" as capacity:
            return capacity
        case None:
            return None
        case other:
            raise SettingsError(f"{Env.CAPACITY} is {other!r}: the planner sets it to spot or on-demand")


def _model_url(environment: Mapping[str, str]) -> str | None:
    """A key goes there: over TLS, or not beyond this machine."""
    url = environment.get(Env.MODEL_URL)
    if url and not url.startswith(("https://", "http://127.0.0.1:")):
        raise SettingsError(f"{Env.MODEL_URL} is {url!r}: use an https URL")
    return url or None


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set: the task definition must set it")
    return value


def _launcher(environment: Mapping[str, str]) -> Path | None:
    """Isolation is on unless it is switched off explicitly; a missing launcher is an error."""
    isolation = environment.get(Env.ISOLATION, "")
    if isolation == "none":
        return None
    if isolation:
        raise SettingsError(f"{Env.ISOLATION} is {isolation!r}: leave it out, or set it to 'none' on a laptop")
    launcher = Path(_required(environment, Env.AGENT_LAUNCHER))
    if not launcher.is_file():
        raise SettingsError(f"{Env.AGENT_LAUNCHER} names {launcher}, which does not exist: rebuild the image")
    return launcher


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
