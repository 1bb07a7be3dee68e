#!/usr/bin/env python3
"""Any of the agents' CLIs, scriptable: takes the task and prints as that CLI does, and behaves as its task says.

The task's last line is `SCENARIO <name>`: so a scenario only runs when the task's text really arrived. Executed under
the CLI's name, on the agent's PATH; never imported.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NAME = Path(sys.argv[0]).name
DONE = "The fake agent is done."
ACP = "grok" in NAME
"""Whether it is a CLI that speaks the Agent Client Protocol."""


def read_task() -> str:
    """Take the task from where the real CLI takes it."""
    if ACP:
        return read_prompt()
    if NAME in ("claude", "codex", "gemini", "opencode", "copilot"):
        return sys.stdin.read()
    words = " ".join(sys.argv[1:])
    place = {"aider": r"--message-file=(\S+)"}.get(NAME, r"(\S+)$")
    found = re.search(place, words)
    assert found, words
    return Path(found[1]).read_text()


def read_prompt() -> str:
    """Serve the Agent Client Protocol until the prompt arrives."""
    while True:
        request = json.loads(sys.stdin.readline())
        if request["method"] == "session/prompt":
            assert (request["id"], request["params"]["sessionId"]) == (2, "s")
            text: str = request["params"]["prompt"][0]["text"]
            return text
        respond(request["id"], {"protocolVersion": 1} if request["method"] == "initialize" else {"sessionId": "s"})


def respond(number: int, outcome: object, kind: str = "result") -> None:
    """Respond to a request of the client."""
    emit({"jsonrpc": "2.0", "id": number, kind: outcome})


def update(kind: str, **fields: object) -> dict[str, object]:
    """Return a notification about the session."""
    params = {"sessionId": "s", "update": {"sessionUpdate": kind, **fields}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def message_event(text: str) -> dict[str, object]:
    """Return the notification of a piece of a message."""
    return update("agent_message_chunk", content={"type": "text", "text": text})


def call_model() -> None:
    """Call the model once, at the address and with the token that the CLI was given; not at all without them."""
    words = " ".join(
        [*sys.argv, *os.environ.values(), *(file.read_text(errors="replace") for file in settings_files())]
    )
    address = re.search(r"http://(127\.0\.0\.1:\d+)", words)
    token = re.search(r"\boutpost-[0-9a-f]{48}\b", words)
    if not address or not token:
        return
    paths = {
        "claude": "/v1/messages",
        "opencode": "/v1/messages",
        "gemini": "/v1beta/models/a-model:streamGenerateContent?alt=sse",
        "aider": "/v1/chat/completions",
    }
    body = json.dumps({"contents": []} if NAME == "gemini" else {"model": "a-model", "messages": [], "input": []})
    headers = {"Authorization": f"Bearer {token[0]}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(address[1], timeout=60)
    connection.request("POST", paths.get(NAME, "/v1/responses"), body, headers)
    connection.getresponse().read()
    connection.close()


def settings_files() -> list[Path]:
    """Return the files in the agent's home, where some CLIs have their address."""
    return [file for file in Path(os.environ["HOME"]).rglob("*") if file.is_file()]


def emit(*events: object) -> None:
    """Print events, one a line."""
    for event in events:
        print(json.dumps(event), flush=True)


def message(text: str) -> None:
    """Print a message of the model that is not the last word, in the CLI's own output format."""
    events: dict[str, object] = {
        "claude": {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}},
        "codex": {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": text}},
        "gemini": {"type": "message", "role": "assistant", "content": text, "delta": True},
        "grok": message_event(text),
        "opencode": {"type": "text", "part": {"type": "text", "text": text}},
        "copilot": {"type": "assistant.message", "data": {"content": text, "toolRequests": []}},
    }
    emit(events[NAME]) if NAME in events else print(text, flush=True)


def result(error: str = "", text: str = DONE) -> None:
    """Print the final event, of a success or of an error."""
    usage = {"input_tokens": 11, "cached_input_tokens": 1, "output_tokens": 7}
    stats = {"input_tokens": 11, "output_tokens": 7, "cached": 1}
    claude = {"type": "result", "subtype": "success", "is_error": bool(error), "num_turns": 1, "usage": usage}
    failed = {"type": "turn.failed", "error": {"message": error}}
    gemini = {"type": "result", "status": "error" if error else "success", "stats": stats}
    events: dict[str, object] = {
        "claude": {**claude, "result": error or text},
        "codex": failed if error else {"type": "turn.completed", "usage": usage},
        "gemini": {**gemini, "error": {"message": error}} if error else gemini,
        "opencode": {"type": "error", "error": {"name": "APIError", "data": {"message": error}}}
        if error
        else {"type": "step_finish", "part": {"type": "step-finish", "reason": "stop"}},
        "copilot": {"type": "result", "exitCode": int(bool(error)), "usage": {}},
    }
    if error and NAME == "copilot":
        emit({"type": "session.error", "data": {"errorType": "query", "message": error}})
    if ACP:
        failure = {"code": -32603, "message": "Internal error", "data": {"message": error}}
        respond(2, failure, "error") if error else respond(2, {"stopReason": "end_turn"})
    elif NAME in events:
        emit(events[NAME])
    else:
        lines = {"aider": f"litellm.APIError: {error}" if error else "Tokens: 11 sent, 7 received."}
        print(lines.get(NAME, error), flush=True)


def say(text: str) -> None:
    """Say something and conclude with it, in the CLI's own output format."""
    message(text)
    result(text=text)


def write(name: str = "result.txt") -> None:
    Path(name).write_text("written\n")


def success() -> None:
    write()
    say(DONE)


def hang_silently() -> None:
    write()
    time.sleep(1000)


def hang_noisily() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write()
    while True:
        message("still here")
        time.sleep(0.05)


def hang_in_a_tool() -> None:
    write()
    call = {"type": "tool_use", "id": "1", "name": "shell", "input": "npm test"}
    events: dict[str, object] = {
        "claude": {"type": "assistant", "message": {"content": [call]}},
        "codex": {"type": "item.started", "item": {"id": "1", "type": "command_execution", "command": "npm test"}},
        "gemini": {"type": "tool_use", "tool_id": "1", "tool_name": "shell", "parameters": "npm test"},
        "grok": update("tool_call", toolCallId="1", title="shell", rawInput={"command": "npm test"}),
        "copilot": {
            "type": "tool.execution_start",
            "data": {"toolCallId": "1", "toolName": "shell", "arguments": "npm test"},
        },
    }
    emit(events[NAME])
    time.sleep(1000)


def endless_output() -> None:
    write()
    while True:
        sys.stdout.buffer.write(b"y\n" * 30_000)


def much_output() -> None:
    line = b"z" * 9_999 + b"\n"
    for _ in range(20_000):
        sys.stdout.buffer.write(line)
    sys.stdout.flush()
    success()


def invalid_utf8() -> None:
    sys.stdout.buffer.write(b"\xff\xfe broken \xc3\n")
    sys.stdout.flush()
    success()


def control_sequences() -> None:
    print("\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\u202eesrever\x00\r\x08", flush=True)
    say(f"\x1b[31m{DONE}\x1b[0m\u202e")
    write()


def daemonises() -> None:
    write()
    subprocess.Popen(["/usr/bin/setsid", "/bin/sh", "-c", "trap '' TERM HUP; sleep 1000"], stdin=subprocess.DEVNULL)
    say(DONE)


def killed() -> None:
    write()
    message("memory is running out")
    os.kill(os.getpid(), signal.SIGKILL)


def writes_outside() -> None:
    Path("../outside.txt").write_text("x") if os.access("..", os.W_OK) else None
    Path(os.environ["HOME"], "at-home.txt").write_text("x")
    Path(os.environ["TMPDIR"], "in-tmp.txt").write_text("x")
    Path("link").symlink_to("/etc/passwd")
    success()


def deletes_git() -> None:
    shutil.rmtree(".git")
    success()


def commits() -> None:
    write()
    git = shutil.which("git") or "git"
    subprocess.run([git, "add", "--all"], check=True)
    subprocess.run([git, "commit", "--quiet", "--message", "by the agent"], check=True)
    say(DONE)


def does_nothing() -> None:
    pass


def half_an_event() -> None:
    print('{"type": "assistant", "message": {"content": [{"type": "text", "te', flush=True)
    success()


def a_large_event() -> None:
    write()
    say("large " * 20_000 + DONE)


def hangs_after_its_result() -> None:
    success()
    time.sleep(1000)


def hangs_without_a_newline() -> None:
    """Print no newline after the final event, a progress dot before it, and stay."""
    write()
    message(DONE)
    before = os.dup(1)
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    result()
    os.dup2(before, 1)
    os.write(1, b"." + os.read(reader, 65536).rstrip(b"\n"))
    time.sleep(1000)


def reports_an_error() -> None:
    """Report an error whose text was cut inside a character, as JavaScript cuts."""
    write()
    result(error="it did not work out" if NAME in ("aider", "bash") else "it did not work out \ud83d")


def recovers_from_an_error() -> None:
    result(error="interrupted")
    success()


def fails_after_a_success() -> None:
    success()
    result(error="it broke at the last moment")


def prints_an_error_into_an_event() -> None:
    """Write to standard error while an event is half written."""
    write()
    reader, writer = os.pipe()
    before = os.dup(1)
    os.dup2(writer, 1)
    say(DONE)
    os.dup2(before, 1)
    os.close(writer)
    output = os.read(reader, 65536)
    for half in (output[: len(output) // 2], output[len(output) // 2 :]):
        os.write(1, half)
        os.write(2, b"(node:7) Warning: MaxListenersExceededWarning\n")
        time.sleep(0.2)


def a_huge_event() -> None:
    """Print a picture of ten megabytes in one event."""
    data = "QUJD" * 2_500_000
    picture = {"type": "image", "source": {"data": data}}
    events: dict[str, object] = {
        "claude": {"type": "user", "message": {"content": [{"type": "tool_result", "content": [picture]}]}},
        "codex": {"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": data}},
        "gemini": {"type": "tool_result", "tool_id": "1", "status": "success", "output": data},
        "grok": update("tool_call_update", toolCallId="1", status="completed", rawOutput={"output": data}),
        "opencode": {"type": "tool_use", "part": {"tool": "bash", "state": {"status": "completed", "output": data}}},
        "copilot": {"type": "tool.execution_complete", "data": {"success": True, "result": {"content": data}}},
    }
    if NAME in events:
        emit(events[NAME])
    success()


def asks_no_model() -> None:
    """Print a success, as some CLIs do for a task that they take for a command of their own."""
    success()


def succeeds_without_a_newline() -> None:
    write()
    sys.stdout.write(json.dumps({"type": "unknown"}) + "\n")
    say(DONE)
    sys.stdout.write(json.dumps({"type": "unknown", "nested": [[[]]]}))


def is_refused_a_tool() -> None:
    """Run on although a tool was refused, and report success."""
    refusal = {"type": "policy_violation", "message": "Tool execution denied by policy."}
    rejected = "The user rejected permission to use this specific tool call."
    if NAME == "codex":  # as its 0.169.0 does
        rejected = 'CreateProcess { message: "Rejected(\\"`touch x` rejected: policy forbids it\\")" }'
        print(
            f"2026-11-28T01:25:14Z ERROR codex_core::tools::router: error=exec_command failed: {rejected}",
            file=sys.stderr,
            flush=True,
        )
    events: dict[str, list[object]] = {
        "gemini": [
            {"type": "tool_use", "tool_name": "shell", "tool_id": "2", "parameters": {}},
            {"type": "tool_result", "tool_id": "2", "status": "error", "error": refusal},
        ],
        "opencode": [
            {"type": "tool_use", "part": {"tool": "shell", "state": {"status": "error", "error": rejected}}},
        ],
        "copilot": [
            {"type": "tool.execution_start", "data": {"toolCallId": "2", "toolName": "shell"}},
            {"type": "tool.execution_complete", "data": {"toolCallId": "2", "error": {"code": "denied"}}},
        ],
    }
    if ACP:
        options = [{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]
        params = {"sessionId": "s", "toolCall": {"toolCallId": "2", "title": "shell"}, "options": options}
        emit({"jsonrpc": "2.0", "id": 7, "method": "session/request_permission", "params": params})
        response = json.loads(sys.stdin.readline())
        assert response["result"] == {"outcome": {"outcome": "selected", "optionId": "no"}}
    emit(*events.get(NAME, []))
    denial = {"tool_name": "shell", "tool_use_id": "2", "tool_input": {}}
    usage: dict[str, int] = {}
    if NAME == "claude":
        end = {"type": "result", "subtype": "success", "is_error": False, "result": DONE, "usage": usage}
        emit({**end, "permission_denials": [denial]})
    else:
        say(DONE)


def reaches_its_turn_limit() -> None:
    events: dict[str, list[object]] = {
        "claude": [{"type": "result", "subtype": "error_max_turns", "is_error": False, "num_turns": 30}],
        "gemini": [
            {"type": "error", "severity": "error", "message": "Maximum session turns exceeded"},
            {"type": "result", "status": "success", "stats": {}},
        ],
        "grok": [{"jsonrpc": "2.0", "id": 2, "result": {"stopReason": "max_turn_requests"}}],
    }
    emit(*events[NAME])


SCENARIOS: dict[str, Callable[[], None]] = {
    name: thing
    for name, thing in list(globals().items())
    if callable(thing) and getattr(thing, "__module__", "") == __name__
}


def main() -> int:
    """Do what the task says; `exit <n>` is written like this."""
    task = read_task()
    if NAME != "bash" and task.startswith(("/", "!")):
        return 0  # the real ones take it for a command of their own
    found = re.search(r"^SCENARIO (\w+)(?: (\d+))?$", task, re.MULTILINE)
    assert found, "the task did not arrive"
    if found[1] != "asks_no_model":
        call_model()
    if found[1] == "exit":
        write()
        say(f"leaving with {found[2]}")
        return int(found[2])
    SCENARIOS[found[1]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
