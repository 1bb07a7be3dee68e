"""The worker's image, built for real and run in a container: two users, and an agent that attacks the harness."""

import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from tests.worker.conftest import Platform
from tests.worker.container import IMAGE, OF_THE_PROCESS_ENGINE, Engine

BUDGETS = {"claude": 850, "codex": 850, "gemini": 700, "grok": 680, "opencode": 700, "copilot": 700, "aider": 1_100}
"""Megabytes of each agent's image, unpacked; about 280 are the base that is made here where none can be pulled."""
LAUNCHER = "/usr/local/libexec/outpost-launcher"


def test_the_image_runs_as_the_harness_and_its_launcher_has_four_capabilities(engine: Engine) -> None:
    assert engine.inside("id", "-u").strip() == "10001"
    assert engine.inside("stat", "--format=%U:%G %a", LAUNCHER).strip() == "root:outpost 750"
    capabilities = engine.inside("/usr/sbin/getcap", LAUNCHER).split()[1]
    assert capabilities == "cap_kill,cap_setgid,cap_setuid,cap_setpcap=ep"


@pytest.mark.full
@pytest.mark.timeout(1000)
@pytest.mark.parametrize(("agent", "megabytes"), BUDGETS.items())
def test_each_agents_image_has_its_program_and_keeps_its_budget(engine: Engine, agent: str, megabytes: int) -> None:
    tag = f"localhost/outpost-worker:{agent}"
    engine.build("agent", tag, f"--build-arg=AGENT={agent}")
    command = ["run", "--rm", "--env=HOME=/tmp", f"--entrypoint={agent}", tag, "--version"]
    assert any(character.isdigit() for character in engine.call(*command))
    assert int(engine.call("image", "inspect", "--format={{.Size}}", tag)) < megabytes * 1_000_000


def test_no_other_file_of_the_image_gives_privileges_to_the_harness(engine: Engine) -> None:
    found = engine.inside("bash", "-c", "/usr/sbin/getcap -r / 2>/dev/null | cut -d' ' -f1")
    assert found.split() == [LAUNCHER]


def test_a_dispatch_in_a_container_comes_back_with_its_patch(engine: Engine, platform: Platform) -> None:
    row = engine.work(platform, "umask 077; echo private > new; mkdir d; echo x > d/f; chmod 000 new d")
    assert row.status is Status.SUCCESS
    patch = platform.read(row, Artifact.PATCH)
    assert b"+private" in patch
    assert b"+++ b/d/f" in patch


ATTACK = r"""
echo "uid $(id -u) groups $(id -G)"
grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status | tr -d '\t'
for entry in /proc/[0-9]*; do
    [ "$(stat -c %u $entry)" = 10002 ] && continue
    for file in environ mem maps cwd/x fd/0 root/etc/passwd; do
        head -c 1 "$entry/$file" > /dev/null 2>&1 && [ "$file" != root/etc/passwd ] && echo "READ $entry/$file"
    done
    kill -0 "${entry#/proc/}" 2> /dev/null && echo "SIGNALLED $entry"
done
/usr/local/libexec/outpost-launcher --reuid=0 -- id -u && echo ESCALATED
su -c 'id -u' < /dev/null && echo ESCALATED
ls -l /proc/self/fd | awk '{print $9}' | grep -v '^$' | sort -n | tail -1
for folder in .. ../repository ../repository/.git ../repository/.git/objects; do
    touch "$folder/written" 2> /dev/null && echo "WROTE $folder"
done
mv ../workspace ../moved 2> /dev/null && echo "MOVED the workspace"
ls ../harness > /dev/null 2>&1 && echo "READ the harness's folder"
ls /mnt > /dev/null 2>&1 && echo "READ the mounts"
echo done
"""


def test_an_agent_in_a_container_reaches_nothing_of_the_harness(engine: Engine, platform: Platform) -> None:
    row = engine.work(platform, ATTACK)
    lines = platform.read(row, Artifact.OUTPUT).decode().splitlines()
    assert lines[0] == "uid 10002 groups 10002"
    sets = {line.split(":")[0]: line.split(":")[1] for line in lines if line.startswith(("Cap", "NoNewPrivs"))}
    assert {int(value, 16) for name, value in sets.items() if name.startswith("Cap")} == {0}
    assert sets["NoNewPrivs"] == "1"
    forbidden = ("READ", "SIGNALLED", "ESCALATED", "WROTE", "MOVED")
    assert [line for line in lines if line.startswith(forbidden)] == []
    assert lines[-1] == "done"


def test_a_container_kills_all_of_the_agents_processes(engine: Engine, platform: Platform) -> None:
    task = (
        "(env -i setsid bash -c 'trap \"\" TERM; sleep 1000' &); trap '' TERM; echo ready; while :; do sleep 0.1; done"
    )
    row = engine.work(platform, task, timeout_seconds=1)
    assert row.status is Status.TIMEOUT
    assert row.usage is not None
    assert 11 <= row.usage.duration_seconds < 13


def test_a_fork_bomb_ends_at_the_time_limit(engine: Engine, platform: Platform) -> None:
    row = engine.work(platform, "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done", timeout_seconds=5)
    assert row.status is Status.TIMEOUT


def test_an_agent_that_takes_all_memory_fails_with_that_reason(engine: Engine, platform: Platform) -> None:
    task = "exec python3 -c 'a = []\nwhile True: a.append(bytearray(10_000_000))'"
    row = engine.work(platform, task, "--memory=300m", "--memory-swap=300m")
    assert row.reason is not None
    assert (row.reason.code, row.exit_code) == (ReasonCode.OUT_OF_MEMORY, 137)


def test_a_container_that_is_stopped_leaves_a_checkpoint(engine: Engine, platform: Platform) -> None:
    name = f"outpost-{new_id().lower()}"
    row = platform.dispatch("echo partial > result; echo ready; sleep 1000")
    variables = {key: value for key, value in platform.environment.items() if key not in OF_THE_PROCESS_ENGINE}
    variables["ECS_CONTAINER_METADATA_URI_V4"] += f"/{new_id()}"
    settings = [f"--env={key}={value}" for key, value in variables.items()]
    engine.call("run", "--detach", "--init", f"--name={name}", "--network=host", *settings, IMAGE)
    try:
        platform.wait_for(row, "ready")
        engine.call("stop", "--time=100", name)
        assert engine.call("inspect", "--format={{.State.ExitCode}}", name).strip() == "143"
        assert b"+partial" in platform.read(platform.row(row), Artifact.PATCH)
    finally:
        engine.call("rm", "--force", name)
