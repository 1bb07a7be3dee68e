"""The agents' real CLIs behind the model proxy: they end when the budget is spent, and call only the agent's models."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outpost.domain.agents import CATALOGUE, Agent, Alias
from tests.real_clis import path_with_cli
from tests.worker.model_server import ModelServer, model_server
from tests.worker.test_real_clis import MODELS, TASK
from worker.adapters import ADAPTERS
from worker.adapters.base import Run
from worker.model_proxy.access import ModelAccess, ModelKey, model_access

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

BUDGET = 5_000
"""Less than any of their calls could use."""
OTHER_MODELS = {Agent.CLAUDE: ("haiku", "sonnet", "opus"), Agent.GEMINI: ("gemini-2.5-flash-lite", "summarizer-shell")}
"""Names that a CLI, or a subagent, chooses by itself."""


@contextmanager
def served(agent: Agent, budget: int | None) -> Iterator[tuple[ModelServer, ModelAccess]]:
    key = ModelKey("the-key", lambda: "the-key", own=False)
    with (
        model_server("the-key") as server,
        model_access(agent, key, upstream=server.url, budget=budget, models=[MODELS[agent]]) as access,
    ):
        yield server, access


def run(agent: Agent, access: ModelAccess, folder: Path, *arguments: str) -> str:
    """Run the CLI to its end; returns what it printed."""
    for name in ("home", "workspace"):
        (folder / name).mkdir()
    (folder / "task").write_text(TASK)
    models = {Alias.FLAGSHIP: MODELS[agent]}
    invocation = ADAPTERS[agent].invocation(
        Run(folder / "task", folder / "home", MODELS[agent], access.base_url, models)
    )
    for name, content in invocation.home_files.items():
        (folder / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "home" / name).write_text(content)
    base = {"PATH": path_with_cli(agent), "HOME": str(folder / "home"), "TERM": "dumb", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*invocation.argv, *arguments],
        cwd=folder / "workspace",
        env={**base, **invocation.environment, **access.environment},
        input=invocation.stdin.read_bytes() if invocation.stdin else b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=90,
    )
    return " ".join(done.stdout.decode().split())  # some wrap their lines


@pytest.mark.parametrize("agent", MODELS)
def test_a_real_cli_ends_when_its_budget_is_spent(agent: Agent, tmp_path: Path) -> None:
    assert CATALOGUE[agent].provider is not None
    with served(agent, BUDGET) as (server, access):
        output = run(agent, access, tmp_path)
    assert "the budget of 5,000 model tokens has no room for the next call" in output
    assert server.edits == 0
    assert access.meter.refusal is not None


@pytest.mark.parametrize(("agent", "name"), [(agent, name) for agent, names in OTHER_MODELS.items() for name in names])
def test_a_real_cli_calls_the_agents_model_by_every_name(agent: Agent, name: str, tmp_path: Path) -> None:
    with served(agent, budget=None) as (server, access):
        output = run(agent, access, tmp_path, f"--model={name}")
    assert len(server.completed) == 2, output
    assert all(MODELS[agent] in f"{seen.path} {seen.body.get('model')}" for seen in server.completed)
