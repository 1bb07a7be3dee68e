"""The worker's contract with an agent's CLI, kept by every adapter, whatever the CLI does.

`make test` runs every scenario with one adapter and every adapter with one scenario, `make test-full` all with all.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.services.promotions import promoted
from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from tests.worker.conftest import PROVIDER_KEY, GitServer, Platform, skip_where_gemini_refuses
from tests.worker.model_server import model_server
from worker.adapters import ADAPTERS
from worker.adapters.base import Run
from worker.adapters.transcript import JsonTranscript, Transcript

DONE = "The fake agent is done."
MODEL = "a-model"
CODES = (1, 2, 41, 42, 53, 124, 126, 127, 130, 137, 143, 255)
Check = Callable[[Platform, Dispatch], None]


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """Where every provider's API is."""
    with model_server(PROVIDER_KEY) as server:
        yield server.url


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> dict[str, str]:
    """A worker's variables: a PATH on which every agent's command is the fake CLI, and a model."""
    folder = tmp_path_factory.mktemp("fake-clis")
    source = Path(__file__).with_name("fake_cli.py").read_text().split("\n", 1)[1]
    for command in {Agent(agent).value for agent in Agent} - {"shell"} | {"bash"}:
        program = folder / command
        program.write_text(f"#!{sys.executable} -I\n{source}")
        program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin", Env.MODEL_URL: model_url}


@pytest.fixture(scope="module")
def repo(git_server: GitServer) -> str:
    if not (git_server.folder / "owner" / "conformance").exists():
        git_server.create("conformance", {"README.md": b"hello\n"})
    return "owner/conformance"


def patch_of(platform: Platform, row: Dispatch) -> str:
    return platform.read(row, Artifact.PATCH).decode()


def has_result(platform: Platform, row: Dispatch) -> None:
    assert "+++ b/result.txt\n@@ -0,0 +1 @@\n+written\n" in patch_of(platform, row)


def succeeded(platform: Platform, row: Dispatch) -> None:
    assert (row.status, row.exit_code) == (Status.SUCCESS, 0), platform.messages(row)
    has_result(platform, row)
    said = [line.message for line in platform.log(row) if line.source is LogSource.AGENT]
    assert any(DONE in line for line in said)


def told_its_end(platform: Platform, row: Dispatch) -> None:
    succeeded(platform, row)
    if type(ADAPTERS[row.spec.agent].transcript()) is not Transcript:  # which takes all lines alike
        assert platform.summary(row).final_message == DONE


def timed_out(platform: Platform, row: Dispatch) -> None:
    assert row.status is Status.TIMEOUT
    assert row.reason is not None
    assert row.reason.code is ReasonCode.TIME_LIMIT
    assert row.usage is not None
    assert row.usage.duration_seconds < row.spec.timeout_seconds + 10 + 2
    has_result(platform, row)


def timed_out_in_a_tool(platform: Platform, row: Dispatch) -> None:
    timed_out(platform, row)
    assert row.reason is not None
    assert "was stopped. It was running [shell] npm test, " in row.reason.message
    assert row.reason.message in platform.messages(row)


def output_was_cut(platform: Platform, row: Dispatch) -> None:
    output = platform.read(row, Artifact.OUTPUT)
    assert len(output) < 66 * 1024 * 1024
    assert b"[output cut here" in output[-200:]


def endless(platform: Platform, row: Dispatch) -> None:
    timed_out(platform, row)


def much(platform: Platform, row: Dispatch) -> None:
    assert row.status is Status.SUCCESS
    has_result(platform, row)
    output_was_cut(platform, row)


def is_clean(platform: Platform, row: Dispatch) -> None:
    succeeded(platform, row)
    for line in platform.messages(row):
        assert not set(line) & {"\x1b", "\x00", "\x07", "\x08", "\u202e", "\r"}
        line.encode()


def was_killed(platform: Platform, row: Dispatch) -> None:
    assert (row.status, row.exit_code) == (Status.FAILED, 137)
    has_result(platform, row)


def stayed_inside(platform: Platform, row: Dispatch) -> None:
    succeeded(platform, row)
    patch = patch_of(platform, row)
    assert patch.count("diff --git") == 2
    assert "new file mode 120000" in patch
    assert "outside.txt" not in patch
    assert "root:" not in patch


def did_nothing(platform: Platform, row: Dispatch) -> None:
    assert platform.summary(row).files_changed == 0
    assert patch_of(platform, row) == ""
    if type(ADAPTERS[row.spec.agent].transcript()) is Transcript:
        assert row.status is Status.SUCCESS
    else:
        _failed_with(row, ReasonCode.NO_RESULT, "exit code 0 without a result")


def _failed_with(row: Dispatch, code: ReasonCode, words: str) -> None:
    assert row.reason is not None
    assert (row.status, row.reason.code) == (Status.FAILED, code), row.reason.message
    assert words in row.reason.message


def succeeded_without_exiting(platform: Platform, row: Dispatch) -> None:
    assert (row.status, row.exit_code) == (Status.SUCCESS, None), platform.messages(row)
    has_result(platform, row)
    assert row.usage is not None
    assert 10 <= row.usage.duration_seconds < 25
    assert promoted(row, platform.summary(row), create_pr=False)


def reported_its_error(platform: Platform, row: Dispatch) -> None:
    _failed_with(row, ReasonCode.AGENT_REPORTED_FAILURE, "it did not work out")
    has_result(platform, row)
    assert not any("success" in line for line in platform.messages(row))


def broke_at_the_last_moment(platform: Platform, row: Dispatch) -> None:
    _failed_with(row, ReasonCode.AGENT_REPORTED_FAILURE, "it broke at the last moment")


def showed_the_warning(platform: Platform, row: Dispatch) -> None:
    succeeded(platform, row)
    assert platform.messages(row).count("(node:7) Warning: MaxListenersExceededWarning") == 2


def is_short(platform: Platform, row: Dispatch) -> None:
    succeeded(platform, row)
    assert any("10,000,000 characters left out]" in line for line in platform.messages(row))
    assert len(platform.read(row, Artifact.OUTPUT)) < 10_000


def asked_no_model(platform: Platform, row: Dispatch) -> None:
    _failed_with(row, ReasonCode.NO_MODEL_CALL, "never called its model")


def was_refused(platform: Platform, row: Dispatch) -> None:
    _failed_with(row, ReasonCode.TOOLS_REFUSED, "not permitted to use tools that it needed: shell.")


def reached_its_limit(platform: Platform, row: Dispatch) -> None:
    _failed_with(row, ReasonCode.TURN_LIMIT, "The agent reported:")


EVENTS = tuple(agent for agent in Agent if isinstance(ADAPTERS[agent].transcript(), JsonTranscript))
"""The agents that print JSON events."""
RESULTS = tuple(agent for agent in Agent if ADAPTERS[agent].transcript().has_final_event)
"""The agents that print whether they succeeded."""
WITHOUT_NEWLINE = tuple(agent for agent in EVENTS if agent is not Agent.GROK)
"""Those whose events need no newline after them; in the Agent Client Protocol it ends a message."""
REPEATED = tuple(agent for agent in RESULTS if agent is not Agent.GROK)
"""Those of them that may print it again: in the Agent Client Protocol a prompt has one response."""


@dataclass(frozen=True)
class Scenario:
    """What must be true after a run of the fake CLI."""

    check: Check
    seconds: int = 60
    """The time limit."""
    agents: Sequence[Agent] = tuple(Agent)
    """Those that it applies to."""


SCENARIOS: dict[str, Scenario] = {
    "success": Scenario(told_its_end),
    "hang_silently": Scenario(timed_out, 2),
    "hang_in_a_tool": Scenario(
        timed_out_in_a_tool, 3, agents=[agent for agent in EVENTS if agent is not Agent.OPENCODE]
    ),
    "hang_noisily": Scenario(timed_out, 2),
    "endless_output": Scenario(endless, 4),
    "much_output": Scenario(much, 120),
    "invalid_utf8": Scenario(is_clean),
    "control_sequences": Scenario(is_clean),
    "daemonises": Scenario(succeeded),
    "killed": Scenario(was_killed),
    "writes_outside": Scenario(stayed_inside),
    "deletes_git": Scenario(succeeded),
    "commits": Scenario(succeeded),
    "does_nothing": Scenario(did_nothing),
    "half_an_event": Scenario(succeeded),
    "a_large_event": Scenario(succeeded),
    "hangs_after_its_result": Scenario(succeeded_without_exiting, agents=EVENTS),
    "hangs_without_a_newline": Scenario(succeeded_without_exiting, agents=WITHOUT_NEWLINE),
    "reports_an_error": Scenario(reported_its_error, agents=RESULTS),
    "recovers_from_an_error": Scenario(succeeded, agents=REPEATED),
    "fails_after_a_success": Scenario(
        broke_at_the_last_moment, agents=[agent for agent in EVENTS if agent is not Agent.GROK]
    ),
    "prints_an_error_into_an_event": Scenario(showed_the_warning, agents=RESULTS),
    "a_huge_event": Scenario(is_short, agents=EVENTS),
    "asks_no_model": Scenario(asked_no_model, agents=[agent for agent in Agent if CATALOGUE[agent].provider]),
    "succeeds_without_a_newline": Scenario(succeeded, agents=EVENTS),
    "is_refused_a_tool": Scenario(was_refused, agents=EVENTS),
    "reaches_its_turn_limit": Scenario(reached_its_limit, agents=(Agent.CLAUDE, Agent.GEMINI, Agent.GROK)),
}


def run(
    platform: Platform, variables: dict[str, str], repo: str, agent: Agent, scenario: str, seconds: int = 60
) -> Dispatch:
    task = f"Do this, please.\nSCENARIO {scenario}\n"
    model = MODEL if CATALOGUE[agent].provider else None
    return platform.run(task, variables, agent=agent, repo=repo, model_id=model, timeout_seconds=seconds)


def every(scenarios: list[str]) -> list[object]:
    """All scenarios with all adapters; what takes long in sum carries the mark."""
    return [
        pytest.param(agent, scenario, marks=() if _is_quick(agent, scenario) else pytest.mark.full)
        for agent in Agent
        for scenario in scenarios
        if agent in SCENARIOS[scenario].agents
    ]


def quick_for(quick: Agent, agents: Iterable[Agent]) -> list[object]:
    """All of these adapters; those beside `quick` carry the mark."""
    return [pytest.param(agent, marks=() if agent is quick else pytest.mark.full) for agent in agents]


LONG = (
    "much_output",
    "endless_output",
    "hangs_after_its_result",
    "recovers_from_an_error",
    "fails_after_a_success",
    "reaches_its_turn_limit",
)
"""Scenarios that the short run leaves to other tests, or to the long one."""


def _is_quick(agent: Agent, scenario: str) -> bool:
    return scenario == "success" or (agent is Agent.CLAUDE and scenario not in LONG)


@pytest.mark.parametrize(("agent", "scenario"), every(list(SCENARIOS)))
def test_the_contract_holds(
    platform: Platform, variables: dict[str, str], repo: str, agent: Agent, scenario: str
) -> None:
    expected = SCENARIOS[scenario]
    row = run(platform, variables, repo, agent, scenario, expected.seconds)
    expected.check(platform, row)
    assert row.ended_at is not None
    assert not [
        entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _works_in(entry, platform.folder)
    ], "a process of the agent outlived its dispatch"


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return process.joinpath("cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


@pytest.mark.parametrize("agent", quick_for(Agent.GEMINI, Agent))
def test_every_exit_code_is_told_with_its_meaning(
    platform: Platform, variables: dict[str, str], repo: str, agent: Agent
) -> None:
    meanings = ADAPTERS[agent].exit_codes
    code = max(meanings, default=3)
    row = run(platform, variables, repo, agent, f"exit {code}")
    assert (row.status, row.exit_code) == (Status.FAILED, code)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.AGENT_EXIT_NONZERO
    assert meanings.get(code, f"exit code {code}") in row.reason.message
    has_result(platform, row)


@pytest.mark.parametrize("agent", quick_for(Agent.CLAUDE, [agent for agent in Agent if CATALOGUE[agent].provider]))
def test_a_task_that_looks_like_a_command_of_the_cli_is_the_task(
    platform: Platform, variables: dict[str, str], repo: str, agent: Agent
) -> None:
    task = "\ufeff/help is broken.\r\nSCENARIO success\n"
    row = platform.run(task, variables, agent=agent, repo=repo, model_id=MODEL)
    told_its_end(platform, row)


@pytest.mark.parametrize("agent", quick_for(Agent.CLAUDE, [a for a in Agent if ADAPTERS[a].settings_files]))
def test_a_repositorys_settings_are_in_the_log_and_in_the_reason_of_a_failure(
    platform: Platform, variables: dict[str, str], git_server: GitServer, agent: Agent
) -> None:
    skip_where_gemini_refuses(agent)
    file = ADAPTERS[agent].settings_files[0]
    repo = git_server.create(f"with-settings-{agent}", {file: b"{}\n"})
    row = run(platform, variables, repo, agent, "exit 3")
    assert row.reason is not None
    assert row.reason.message.endswith(f"The repository's own settings may forbid it: {file}.")
    assert f"the platform's settings of {agent} come before those of {file}" in platform.messages(row)


@pytest.mark.full
@pytest.mark.parametrize(("code", "agent"), list(zip(CODES, itertools.cycle(Agent), strict=False)))
def test_no_exit_code_is_taken_for_another_kind_of_end(
    platform: Platform, variables: dict[str, str], repo: str, code: int, agent: Agent
) -> None:
    row = run(platform, variables, repo, agent, f"exit {code}")
    assert (row.status, row.exit_code) == (Status.FAILED, code)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.AGENT_EXIT_NONZERO


@pytest.mark.parametrize("agent", [Agent.CLAUDE, Agent.GROK])
def test_a_cli_that_is_not_installed_is_told_so(platform: Platform, tmp_path: Path, agent: Agent) -> None:
    row = platform.run("do this", {"PATH": f"{tmp_path}:/usr/bin:/bin"}, agent=agent)
    assert row.status is Status.FAILED
    assert row.reason is not None
    assert row.reason.code is ReasonCode.AGENT_START_FAILED
    assert f"program '{agent}' is not on the worker's PATH ({tmp_path}:/usr/bin:/bin)" in row.reason.message
    assert "install it, then `make down` and `make up`" in row.reason.message


@pytest.mark.parametrize("agent", [agent for agent in Agent if CATALOGUE[agent].provider])
def test_the_task_is_never_on_the_command_line(agent: Agent) -> None:
    invocation = ADAPTERS[agent].invocation(
        Run(Path("/root/task"), Path("/root/home"), "a-model", "http://127.0.0.1:1")
    )
    assert "a-model" in " ".join(invocation.argv)
    assert len(" ".join(invocation.argv)) < 1_500
    given = invocation.stdin == Path("/root/task") or "/root/task" in " ".join(invocation.argv)
    assert given
