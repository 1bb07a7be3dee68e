"""The bridge between the harness and a CLI that speaks the Agent Client Protocol, run as the harness runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from worker.adapters.acp import acp_command

pytestmark = pytest.mark.timeout(60)

AGENT = """
import json, sys, signal

def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"seen": message}), file=sys.stderr, flush=True)
    match message.get("method"):
        case "initialize":
            send(id=message["id"], result={"protocolVersion": 1})
        case "session/new":
            send(id=message["id"], result={"sessionId": "the-session"})
        case "session/prompt":
            prompt = message["id"]
            %s
        case "session/cancel":
            send(id=prompt, result={"stopReason": "cancelled"})
"""
DONE = 'send(id=prompt, result={"stopReason": "end_turn"})'


def start(folder: Path, at_the_prompt: str) -> subprocess.Popen[str]:
    """Start the bridge with an agent that does this when its prompt arrives."""
    (folder / "agent.py").write_text(AGENT % at_the_prompt.replace("\n", "\n" + " " * 12))
    argv = acp_command(sys.executable, str(folder / "agent.py"))
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=folder)
    assert process.stdin is not None
    process.stdin.write("Write it, Grüße.")
    process.stdin.close()
    return process


def run(folder: Path, at_the_prompt: str) -> tuple[int, list[str], list[dict[str, object]]]:
    """Return the exit code, the printed lines, and the messages that reached the agent."""
    with start(folder, at_the_prompt) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        output, seen = process.stdout.read(), process.stderr.read()
    return process.wait(20), output.splitlines(), [json.loads(line)["seen"] for line in seen.splitlines()]


def test_a_prompt_is_handed_over_and_its_updates_are_printed(tmp_path: Path) -> None:
    update = """send(method="session/update", params={"update": {"sessionUpdate": "plan", "type": "x"}})
send(method="_vendor/noise", params={})
print("no message of the protocol", flush=True)
print('{"type": "result", "stopReason": "end_turn"', flush=True)
"""
    code, output, seen = run(tmp_path, update + DONE)
    assert code == 0
    assert output == [
        '{"id": "the-session", "type": "session"}',
        '{"sessionUpdate": "plan", "type": "update"}',
        "no message of the protocol",
        '{"type": "result", "stopReason": "end_turn"',
        '{"stopReason": "end_turn", "type": "result"}',
    ]
    assert [message["method"] for message in seen] == ["initialize", "session/new", "session/prompt"]
    assert seen[1]["params"] == {"cwd": str(tmp_path), "mcpServers": []}
    text = [{"type": "text", "text": "Write it, Grüße."}]
    assert seen[2]["params"] == {"sessionId": "the-session", "prompt": text}


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (
            [{"optionId": "1", "kind": "allow_always"}, {"optionId": "2", "kind": "reject_once"}],
            {"outcome": "selected", "optionId": "2"},
        ),
        ([{"optionId": "1", "kind": "allow_once"}], {"outcome": "cancelled"}),
    ],
)
def test_a_permission_is_refused_and_reported(
    tmp_path: Path, options: list[dict[str, str]], outcome: dict[str, str]
) -> None:
    params = {"toolCall": {"toolCallId": "c", "title": "shell"}, "options": options}
    asked = f'send(id=9, method="session/request_permission", params={params})\n'
    _, output, seen = run(tmp_path, asked + 'send(id="10", method="fs/read_text_file", params={})\n' + DONE)
    assert '{"toolCallId": "c", "title": "shell", "type": "refused"}' in output
    assert seen[3] == {"jsonrpc": "2.0", "id": 9, "result": {"outcome": outcome}}
    error = {"code": -32601, "message": "fs/read_text_file is not served"}
    assert seen[4] == {"jsonrpc": "2.0", "id": "10", "error": error}


def test_an_error_ends_the_run_with_its_words(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, 'send(id=prompt, error={"code": -32603, "message": "no", "data": {"a": 1}})')
    assert (code, output[-1]) == (0, '{"code": -32603, "message": "no", "data": {"a": 1}, "type": "error"}')


@pytest.mark.parametrize(
    "message",
    [
        'method="session/update"',
        'method="session/update", params=None',
        'method="session/update", params={"update": [1]}',
        'id=9, method="session/request_permission"',
        'id=9, method="session/request_permission", params={"toolCall": 1, "options": None}',
        'id=9, method="session/request_permission", params={"options": [1, {"kind": []}]}',
        "id=9, method=[1], params=3",
        "id=7, result={}",
        "id=[], result={}",
    ],
)
def test_a_message_of_an_unknown_shape_costs_no_result(tmp_path: Path, message: str) -> None:
    code, output, _ = run(tmp_path, f"send({message})\n{DONE}")
    assert (code, output[-1]) == (0, '{"stopReason": "end_turn", "type": "result"}')


@pytest.mark.parametrize("error", ["no", ["no"], 3])
def test_an_error_of_an_unknown_shape_ends_the_run(tmp_path: Path, error: object) -> None:
    code, output, _ = run(tmp_path, f"send(id=prompt, error={error!r})")
    assert (code, json.loads(output[-1])) == (0, {"type": "error", "message": str(error)})


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("signal.raise_signal(signal.SIGKILL)", 137)])
def test_the_programs_exit_code_is_the_bridges(tmp_path: Path, end: str, code: int) -> None:
    assert run(tmp_path, end)[0] == code


def test_a_signal_to_end_cancels_the_turn(tmp_path: Path) -> None:
    with start(tmp_path, 'send(method="session/update", params={"update": {}})') as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert process.stdout.readline() == '{"type": "update"}\n'
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == '{"stopReason": "cancelled", "type": "result"}\n'
    assert process.returncode == 0


def test_a_program_that_is_missing_is_named() -> None:
    done = subprocess.run(acp_command("/nonexistent/grok"), input="x", capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "/nonexistent/grok could not be started: No such file or directory\n"
