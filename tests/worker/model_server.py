"""A model server on loopback that speaks the providers' streaming protocols; its model edits one file, then stops.

It is no model, but it is a real server: the CLIs stream from it over HTTP as they do from their providers, get a tool
call, run the tool, send the result back and get a closing message. Every request counts `INPUT` and `OUTPUT` tokens.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loopback import serving

COMMAND = "printf 'written by the model\\n' > made-by-the-model.txt"
FAREWELL = "The file is written."
INPUT = 1200
CACHED = 200
"""Of the input."""
OUTPUT = 34
AIDER_EDIT = (
    f"made-by-the-model.txt\n```\n<<<<<<< SEARCH\n=======\nwritten by the model\n>>>>>>> REPLACE\n```\n\n{FAREWELL}"
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A request that reached the provider."""

    path: str
    headers: dict[str, str]
    body: Json


@dataclass
class ModelServer:
    """The provider: what it accepts, and what it saw."""

    url: str
    key: str
    """The only key that it accepts; anything else is a 401."""
    seen: list[Seen] = field(default_factory=list)
    edits: int = 0
    """Tool calls, or edits, that the model made."""

    @property
    def completed(self) -> list[Seen]:
        """The requests that a model responded to, and that count tokens."""
        return [seen for seen in self.seen if _dialect(seen.path) is not None]


@contextmanager
def model_server(key: str, handler: "type[Handler] | None" = None) -> Iterator[ModelServer]:
    """Serve on loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler or Handler)
    server.daemon_threads = True
    server.model = ModelServer(f"http://127.0.0.1:{server.server_port}", key)  # type: ignore[attr-defined]
    with serving(server):
        yield server.model  # type: ignore[attr-defined]


class Handler(BaseHTTPRequestHandler):
    """One connection of an agent's proxy."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Return an empty list of models."""
        self._respond_json({"error": "invalid key"} if self.rejection(b"") else {"data": []})

    def do_POST(self) -> None:
        """Return what the model says."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(content or b"{}")
        model: ModelServer = self.server.model  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        if rejection := self.rejection(content):
            return self._respond_json(rejection[1], rejection[0])
        model.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        dialect = _dialect(path)
        if dialect is None:
            return self._respond_json({"input_tokens": 1, "totalTokens": 1})
        events = dialect(model, body)
        if dialect is _chat and not body.get("stream"):
            return self._respond_json(_whole(list(events)))
        return self._stream(events, path)

    def rejection(self, content: bytes) -> tuple[int, Json] | None:
        """Return status and body for a caller who is not known; None for one who is."""
        offered = (self.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key", "authorization"))
        if self.server.model.key in {value.removeprefix("Bearer ") for value in offered}:  # type: ignore[attr-defined]
            return None
        error = {"message": "invalid x-api-key", "type": "authentication_error"}
        return 401, {"type": "error", "error": error}

    def _stream(self, events: Iterator[Json], path: str) -> None:
        named = path.endswith(("/messages", "/responses"))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            name = f"event: {event['type']}\n" if named else ""
            self._chunk(f"{name}data: {json.dumps(event)}\n\n".encode())
        if path.endswith("/completions"):
            self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _respond_json(self, response: Json, status: int = 200) -> None:
        content = json.dumps(response).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


def _dialect(path: str) -> "Callable[[ModelServer, Json], Iterator[Json]] | None":
    path = path.partition("?")[0]
    endings = {"/messages": _messages, "/responses": _responses, "/chat/completions": _chat}
    endings[":streamGenerateContent"] = _gemini
    return next((dialect for ending, dialect in endings.items() if path.endswith(ending)), None)


def _tool(body: Json, *names: str) -> str | None:
    """Return the first of these tools that the CLI offers, unless the model has used one already."""
    text = json.dumps(body.get("messages") or body.get("input") or body.get("contents"))
    if any(used in text for used in ('"tool_result"', '_call_output"', '"role": "tool"', '"functionResponse"')):
        return None
    more = [item for item in body.get("input", ()) if item.get("type") == "additional_tools"]
    offered = json.dumps([body.get("tools", []), more])
    return next((name for name in names if f'"{name}"' in offered), None)


def _messages(model: ModelServer, body: Json) -> Iterator[Json]:
    """Anthropic's Messages."""
    usage = {
        "input_tokens": INPUT - CACHED,
        "cache_read_input_tokens": CACHED,
        "cache_creation_input_tokens": 0,
        "output_tokens": 1,
    }
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    yield {"type": "message_start", "message": {**start, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    tool = _tool(body, "Bash", "bash")
    if tool:
        model.edits += 1
        block: Json = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
        partial = json.dumps({"command": COMMAND, "description": "Write the file"})
        delta: Json = {"type": "input_json_delta", "partial_json": partial}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": FAREWELL}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    reason = "tool_use" if tool else "end_turn"
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": OUTPUT},
    }
    yield {"type": "message_stop"}


def _responses(model: ModelServer, body: Json) -> Iterator[Json]:
    """OpenAI's Responses, as xAI speaks it too."""
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": body["model"], "output": []}
    yield {"type": "response.created", "sequence_number": 0, "response": {**response, "status": "in_progress"}}
    item = {**_response_item(model, body), "status": "completed"}
    yield {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": item}
    usage = {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT + OUTPUT,
    }
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    yield {"type": "response.completed", "sequence_number": 2, "response": done}


def _response_item(model: ModelServer, body: Json) -> Json:
    tool = _tool(body, "exec", "exec_command", "shell_command", "run_terminal_command", "shell", "bash")
    if tool is None:
        content = [{"type": "output_text", "text": FAREWELL, "annotations": []}]
        return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    model.edits += 1
    if tool == "exec":  # Codex offers GPT-6 one tool, which runs JavaScript that calls the others.
        script = f"text(await tools.exec_command({json.dumps({'cmd': COMMAND})}))"
        call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": tool}
        return {**call, "namespace": "functions", "input": script}
    command = {"exec_command": {"cmd": COMMAND}, "shell": {"command": ["bash", "-c", COMMAND]}}
    arguments = command.get(tool, {"command": COMMAND, "description": "Write the file"})
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool}
    return {**call, "arguments": json.dumps(arguments)}


def _chat(model: ModelServer, body: Json) -> Iterator[Json]:
    """OpenAI's Chat Completions, as DeepSeek and xAI speak it."""
    base = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    tool = _tool(body, "bash")
    if tool:
        model.edits += 1
        function = {"name": tool, "arguments": json.dumps({"command": COMMAND})}
        delta: Json = {
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}],
        }
    elif body.get("tools"):
        delta = {"role": "assistant", "content": FAREWELL}
    else:
        model.edits += 1
        delta = {"role": "assistant", "content": AIDER_EDIT}
    yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if tool else "stop"}]}
    if not body.get("stream") or body.get("stream_options", {}).get("include_usage"):
        usage = {
            "prompt_tokens": INPUT,
            "prompt_tokens_details": {"cached_tokens": CACHED},
            "completion_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
        }
        yield {**base, "choices": [], "usage": usage}


def _whole(chunks: list[Json]) -> Json:
    """The same completion in one piece."""
    message = chunks[0]["choices"][0]["delta"]
    choice = {"index": 0, "message": message, "finish_reason": chunks[1]["choices"][0]["finish_reason"]}
    return {**chunks[0], "object": "chat.completion", "choices": [choice], "usage": chunks[2]["usage"]}


def _gemini(model: ModelServer, body: Json) -> Iterator[Json]:
    """Google's GenerateContent."""
    tool = _tool(body, "run_shell_command")
    if tool:
        model.edits += 1
        part: Json = {"functionCall": {"name": tool, "args": {"command": COMMAND, "description": "Write the file"}}}
    else:
        part = {"text": FAREWELL}
    usage = {
        "promptTokenCount": INPUT,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": OUTPUT,
        "totalTokenCount": INPUT + OUTPUT,
    }
    content = {"role": "model", "parts": [part]}
    yield {"candidates": [{"content": content, "index": 0, "finishReason": "STOP"}], "usageMetadata": usage}
