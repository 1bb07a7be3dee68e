"""Providers on loopback that stream a scripted response, event by event, and may end it anywhere."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from outpost.domain.usage import Tokens
from tests.loopback import serving

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """An event, and what it adds to what the proxy can know of the call."""

    data: Json | str
    text: str = ""
    """The model's output in it."""
    reported: Tokens | None = None
    """What the call used so far, where the event reports that."""
    final: bool = False
    """Whether that is all that the call uses."""

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data, ensure_ascii=False)
        return f"data: {text}\n\n".encode()


@dataclass(frozen=True)
class Dialogue:
    """One call of a provider's API: what is asked, and how the provider responds."""

    provider: str
    path: str
    body: Json
    limit: int
    """The most output that the body allows."""
    events: tuple[Event, ...]


USED = Tokens(input=1_000, cached=150, output=400)
"""What each dialogue uses; most of the output is reasoning that is not sent."""
_ANTHROPIC = {"input_tokens": 850, "cache_read_input_tokens": 150}
_CHAT = {"prompt_tokens": 1_000, "prompt_tokens_details": {"cached_tokens": 150}, "completion_tokens": 400}
_RESPONSES = {"input_tokens": 1_000, "input_tokens_details": {"cached_tokens": 150}, "output_tokens": 400}
_GOOGLE = {"promptTokenCount": 1_000, "cachedContentTokenCount": 150}


def _delta(kind: str, name: str, text: str) -> Event:
    return Event({"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: text}}, text)


def _chunk(delta: Json, text: str = "", finish: str | None = None, usage: Json | None = None) -> Event:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if usage is None else []
    return Event({"choices": choices, "usage": usage}, text, USED if usage else None, final=usage is not None)


def _part(text: str, written: int, finish: str | None = None) -> Event:
    candidate: Json = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    usage = {**_GOOGLE, "candidatesTokenCount": written // 8, "thoughtsTokenCount": written - written // 8}
    reported = Tokens(input=1_000, cached=150, output=written)
    return Event(
        {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "usageMetadata": usage},
        *(text, reported, finish is not None),
    )


def _responses(provider: str) -> Dialogue:
    return Dialogue(
        provider,
        "/v1/responses",
        {"model": "the-model", "stream": True, "max_output_tokens": 2_000, "input": "Hi"},
        2_000,
        (
            Event({"type": "response.created", "response": {"id": "resp_1", "usage": None}}),
            Event({"type": "response.in_progress", "response": {"id": "resp_1", "usage": None}}),
            Event({"type": "response.reasoning_summary_text.delta", "delta": "Greeting"}, "Greeting"),
            Event({"type": "response.output_text.delta", "delta": "Grüß "}, "Grüß "),
            Event({"type": "response.output_text.delta", "delta": "dich."}, "dich."),
            Event({"type": "response.output_text.done", "text": "Grüß dich."}),
            Event({"type": "response.function_call_arguments.delta", "delta": '{"cmd":1}'}, '{"cmd":1}'),
            Event({"type": "response.completed", "response": {"usage": _RESPONSES}}, reported=USED, final=True),
        ),
    )


def _chat(provider: str) -> Dialogue:
    call = {"index": 0, "id": "call_1", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    return Dialogue(
        provider,
        "/v1/chat/completions",
        {"model": "the-model", "stream": True, "max_tokens": 2_000, "messages": [{"role": "user", "content": "Hi"}]},
        2_000,
        (
            _chunk({"role": "assistant", "content": ""}),
            _chunk({"reasoning_content": "The user greets."}, "The user greets."),
            _chunk({"content": "Grüß "}, "Grüß "),
            _chunk({"content": "dich."}, "dich."),
            _chunk({"tool_calls": [call]}, 'bash{"command": "ls"}'),
            _chunk({}, finish="tool_calls"),
            _chunk({}, usage=_CHAT),
            Event("[DONE]"),
        ),
    )


DIALOGUES: dict[str, Dialogue] = {
    dialogue.provider: dialogue
    for dialogue in (
        Dialogue(
            "anthropic",
            "/v1/messages?beta=true",
            {
                "model": "the-model",
                "stream": True,
                "max_tokens": 2_000,
                "messages": [{"role": "user", "content": "Hi"}],
            },
            2_000,
            (
                Event(
                    {"type": "message_start", "message": {"usage": {**_ANTHROPIC, "output_tokens": 1}}},
                    reported=Tokens(input=1_000, cached=150, output=1),
                ),
                Event({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}}),
                _delta("thinking_delta", "thinking", "The user greets."),
                Event({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "c2ln" * 50}}),
                Event({"type": "content_block_stop", "index": 0}),
                Event({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
                Event({"type": "ping"}),
                _delta("text_delta", "text", "Grüß dich."),
                _delta("input_json_delta", "partial_json", '{"command": "ls"}'),
                Event({"type": "content_block_stop", "index": 1}),
                Event(
                    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 400}},
                    reported=USED,
                    final=True,
                ),
                Event({"type": "message_stop"}),
            ),
        ),
        _responses("openai"),
        Dialogue(
            "google",
            "/v1beta/models/the-model:streamGenerateContent?alt=sse",
            {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 2_000}},
            2_000,
            (_part("Grüß ", 100), _part("dich", 200), _part(", du.", 300), _part("", 400, "STOP")),
        ),
        _chat("deepseek"),
        _responses("xai"),
    )
}
"""Name of the provider -> a call to it."""


@dataclass
class ScriptedProvider:
    """A provider, and how it responds; `before` is called before each event is sent, with its number."""

    dialogue: Dialogue
    url: str = ""
    cut_after: int | None = None
    """Events after which the connection is reset; None: it sends all."""
    before: Callable[[int], object] = lambda _: None
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def scripted_provider(dialogue: Dialogue, cut_after: int | None = None) -> Iterator[ScriptedProvider]:
    """Serve on loopback until the block ends."""
    provider = ScriptedProvider(dialogue, cut_after=cut_after)

    class Handler(_Handler):
        script = provider

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield provider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: ScriptedProvider

    def do_POST(self) -> None:
        script = self.script
        script.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(script.dialogue.events):
            if number == script.cut_after:
                return self._reset()
            script.before(number)
            self._send(event.encode())
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""
