"""The agents' real CLIs, installed from the lock files, finish a dispatch with a model server on loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from outpost.domain.agents import Agent, Alias
from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.budgets import SLICE, to_usd
from outpost.domain.dispatch import Status
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from outpost.names import Env
from outpost_ops.config import load
from tests.real_clis import ROOT, path_with_cli
from tests.worker.conftest import PROVIDER_KEY, GitServer, Platform
from tests.worker.model_server import CACHED, FAREWELL, INPUT, OUTPUT, ModelServer, model_server
from worker.model_proxy.meter import cost

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

MODELS = {
    agent: settings.models[Alias.FLAGSHIP]
    for agent, settings in load(ROOT / "config" / "prod.toml").enabled_agents.items()
    if settings.models
}
CALLS = {Agent.AIDER: 1, Agent.GROK: 3}
"""Model calls of a run, where they are not two: the edit, and the farewell after the tool's result.

Grok gives its session a title.
"""
TASK = "Please write the file made-by-the-model.txt."


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server(PROVIDER_KEY) as server:
        yield server


@pytest.fixture(scope="module", params=MODELS)
def agent(request: pytest.FixtureRequest) -> Agent:
    found: Agent = request.param
    return found


@pytest.fixture(scope="module")
def path(agent: Agent) -> str:
    return path_with_cli(agent)


def test_a_real_cli_finishes_a_dispatch(
    agent: Agent, path: str, model: ModelServer, platform: Platform, git_server: GitServer
) -> None:
    repo = git_server.create(f"for-{agent}", {"README.md": b"hello\n"})
    before = len(model.completed)
    variables = {"PATH": path, Env.MODEL_URL: model.url}
    row = platform.run(TASK, variables, agent=agent, repo=repo, model_id=MODELS[agent], timeout_seconds=300)
    assert row.status is Status.SUCCESS, platform.messages(row)
    summary = platform.summary(row)
    patch = platform.read(row, Artifact.PATCH).decode()
    assert patch.count("diff --git") == summary.files_changed == 1
    assert "+++ b/made-by-the-model.txt\n@@ -0,0 +1 @@\n+written by the model\n" in patch
    calls = CALLS.get(agent, 2)
    assert summary.final_message is not None
    assert FAREWELL in summary.final_message
    assert row.usage is not None
    used = Tokens(INPUT, CACHED, 0, OUTPUT)
    price = cost(MODELS[agent], used)
    assert price is not None
    assert (row.usage.model_calls, row.usage.input_tokens) == (calls, calls * INPUT)
    assert (row.usage.cached_input_tokens, row.usage.output_tokens) == (calls * CACHED, calls * OUTPUT)
    assert row.usage.model_cost_usd == pytest.approx(calls * price, abs=1e-6)
    assert FAREWELL in [line.message for line in platform.log(row) if line.source is LogSource.AGENT]
    new = model.completed[before:]
    assert len(new) == calls
    assert any(TASK in str(seen.body) or str(seen.body).count("/task") for seen in new)


def test_a_real_cli_reports_that_its_provider_refuses_the_key(
    agent: Agent, path: str, model: ModelServer, platform: Platform
) -> None:
    platform.use_key(agent, "a-key-that-was-revoked")
    try:
        variables = {"PATH": path, Env.MODEL_URL: model.url}
        row = platform.run(TASK, variables, agent=agent, model_id=MODELS[agent], timeout_seconds=120)
    finally:
        platform.use_key(agent, PROVIDER_KEY)
    assert row.status is Status.FAILED, platform.messages(row)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.MODEL_KEY_UNUSABLE
    assert "a-key-that-was-revoked" not in "\n".join(platform.messages(row))


def test_a_real_cli_ends_at_its_budget_in_dollars_and_its_patch_is_kept(
    model: ModelServer, platform: Platform, git_server: GitServer
) -> None:
    """Its second call does not fit; the first one wrote the file."""
    agent = Agent.CLAUDE
    repo = git_server.create("for-a-budget", {"README.md": b"hello\n"})
    variables = {"PATH": path_with_cli(agent), Env.MODEL_URL: model.url}
    spec = {"agent": agent, "repo": repo, "model_id": MODELS[agent], "timeout_seconds": 120}
    roomy = platform.run(TASK, variables, max_cost_usd=1_000, **spec)
    assert roomy.status is Status.SUCCESS, platform.messages(roomy)
    assert roomy.cost_usd is not None
    first_call = to_usd(sum(roomy.spending.taken.values()) - SLICE)  # the most that it could have cost
    row = platform.run(TASK, variables, max_cost_usd=first_call + roomy.cost_usd / 4, **spec)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.BUDGET_EXCEEDED, platform.messages(row)
    assert "and it could cost" in row.reason.message
    assert row.usage is not None
    assert row.usage.model_calls == 1
    assert row.cost_usd == row.usage.model_cost_usd == pytest.approx(roomy.cost_usd / 2)
    assert "+written by the model" in platform.read(row, Artifact.PATCH).decode()


def test_only_the_agents_commands_come_onto_the_workers_path(agent: Agent, path: str) -> None:
    """In the image they lie beside the worker's own Python, which no other must replace."""
    commands = {command.name for command in Path(path.partition(os.pathsep)[0]).iterdir()}
    assert agent in commands
    assert commands <= {agent, "node", "rg"}
