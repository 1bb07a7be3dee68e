"""The agents' real CLIs in repositories with settings of their own, and with tasks that look like their commands."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from tests.real_clis import path_with_cli, selected
from tests.worker.conftest import PROVIDER_KEY, GitServer, Platform, skip_where_gemini_refuses
from tests.worker.model_server import ModelServer, model_server
from tests.worker.outside import Outside, outside
from tests.worker.settings_cases import CASES, Case
from tests.worker.test_real_clis import MODELS, TASK

pytestmark = pytest.mark.timeout(300)

QUICK = {name for agent in MODELS for name in [n for n, case in CASES.items() if case.agent is agent][:3]}
"""Repositories of `make test-full`: the first three of each agent; `make test-clis` runs all."""

WRITTEN = "+++ b/made-by-the-model.txt\n@@ -0,0 +1 @@\n+written by the model\n"
BEGINNINGS = {
    "a-path": "/src/app.py is broken.",
    "a-command-of-theirs": "/help me, please.",
    "a-byte-order-mark": "\ufeff/model is wrong in the docs.",
    "a-shell-command": "!ls is not what I mean.",
    "names": "@octocat of @acme/team asks, see @README.md, @src/missing.ts and @/etc/shadow.",
    "a-title": "# Title\n\n#hash and `touch pwned` and $(touch pwned).",
    "quotes": '"""\nquoted\n"""',
    "braces-and-windows-lines": "{\r\n  --help\r\n}\r\n",
    "much-text": "long " * 9_900,
}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server(PROVIDER_KEY) as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Outside]:
    with outside() as found:
        yield found


@pytest.fixture
def run(model: ModelServer, proxy: Outside, platform: Platform, git_server: GitServer, tmp_path: Path) -> "Run":
    return Run(model, proxy, platform, git_server, tmp_path)


class Run:
    """Runs a real CLI in a repository, and remembers what its model was sent."""

    def __init__(
        self, model: ModelServer, proxy: Outside, platform: Platform, git_server: GitServer, folder: Path
    ) -> None:
        self.model, self.proxy, self.platform, self.git_server, self.folder = model, proxy, platform, git_server, folder
        self.sent: list[str] = []
        self.models: set[str] = set()

    def __call__(self, agent: Agent, name: str, files: dict[str, bytes], task: str = TASK) -> Dispatch:
        repo = self.git_server.create(name, {"README.md": b"hello\n", **files})
        path = self.proxy.program(self.folder / "bin", agent, path_with_cli(agent))
        before = len(self.model.completed)
        variables = {"PATH": path, Env.MODEL_URL: self.model.url}
        row = self.platform.run(task, variables, agent=agent, repo=repo, model_id=MODELS[agent], timeout_seconds=60)
        seen = self.model.completed[before:]
        self.sent = [json.dumps(each.body) for each in seen]
        self.models = {each.body.get("model") or each.path.partition("models/")[2].partition(":")[0] for each in seen}
        return row

    def wrote(self, row: Dispatch) -> bool:
        """Return whether the model's file is in the patch."""
        return WRITTEN in self.platform.read(row, Artifact.PATCH).decode()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full if name in QUICK else pytest.mark.clis) for name in CASES]
)
def test_the_platforms_settings_win_or_the_reason_names_the_file(name: str, run: Run) -> None:
    case: Case = CASES[name]
    row = run(case.agent, f"with-settings-{name}", case.files)
    messages = run.platform.messages(row)
    assert row.reason is not None
    assert run.proxy.called == []
    if row.reason.code is ReasonCode.AGENT_START_FAILED:
        assert case.agent is Agent.GEMINI
        pytest.skip(row.reason.message)
    assert run.models <= {MODELS[case.agent].rpartition("/")[2]}
    if case.fails is not None:
        assert row.status is Status.FAILED, messages
        assert case.fails in row.reason.message
        assert any(file in row.reason.message for file in case.files), row.reason.message
        return
    assert row.status is Status.SUCCESS, messages
    assert run.wrote(row)
    assert run.models
    assert [text for text in case.seen if text not in "".join(run.sent)] == []


DENIED = {
    Agent.CLAUDE: (".claude/settings.json", {"permissions": {"deny": ["Bash", "Write"]}}, "Bash, Write"),
    Agent.GEMINI: (
        ".gemini/settings.json",
        {"tools": {"exclude": ["run_shell_command", "write_file"]}},
        "run_shell_command, write_file",
    ),
}
"""The file, its settings, and the tools that the model is not offered for them."""


@pytest.mark.full
@pytest.mark.parametrize("agent", DENIED)
def test_a_success_without_tools_that_a_file_denies_names_tools_and_file(agent: Agent, run: Run) -> None:
    skip_where_gemini_refuses(agent)
    file, content, tools = DENIED[agent]
    row = run(agent, f"denied-{agent}", {file: json.dumps(content).encode()})
    assert row.reason is not None
    assert row.status is Status.SUCCESS, run.platform.messages(row)
    assert row.reason.message.endswith(f"forbid the use of {tools}, which the model was not offered: {file}.")
    assert row.reason == run.platform.summary(row).reason
    assert row.reason.message in run.platform.messages(row)


@pytest.mark.parametrize(("agent", "beginning"), selected(product(MODELS, BEGINNINGS)))
def test_a_task_is_the_task_whatever_it_begins_with(agent: Agent, beginning: str, run: Run) -> None:
    text = BEGINNINGS[beginning]
    row = run(agent, f"task-{agent}-{beginning}", {}, f"{text}\n{TASK}")
    assert row.status is Status.SUCCESS, run.platform.messages(row)
    assert run.wrote(row)
    assert run.proxy.called == []
    text = text.removeprefix("\ufeff")
    spelt = [json.dumps(line_ends)[1:-1] for line_ends in (text, text.replace("\r\n", "\n"))]  # Aider's are LF
    assert any(expected in sent for sent in run.sent for expected in spelt)


@pytest.mark.full
@pytest.mark.parametrize("agent", MODELS)
def test_what_the_model_does_not_ask_for_stays_here(agent: Agent, run: Run) -> None:
    """A CLI that uploads the code base, to its provider or elsewhere, sends the text of this file."""
    row = run(agent, f"upload-{agent}", {"notes/animals.txt": b"The quagga is striped.\n"})
    assert row.status is Status.SUCCESS, run.platform.messages(row)
    assert run.sent
    assert [seen.path for seen in run.model.seen if "quagga" in json.dumps(seen.body)] == []
    assert run.proxy.called == []
