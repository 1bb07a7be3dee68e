"""The Agent Client Protocol: one way to run, and one reader, for every CLI that speaks it (docs/adr/0036)."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from outpost.domain.reasons import ReasonCode
from worker import acp_bridge
from worker.adapters.transcript import JsonTranscript, Message, Verdict, tool_output
from worker.json_values import objects_at, text_at, value_at

EXIT_CODES: Mapping[int, str] = {acp_bridge.NOT_FOUND: "the program could not be started"}


def acp_command(*program: str) -> tuple[str, ...]:
    """Return the call of a program that speaks ACP on its standard streams; the prompt is on standard input."""
    return (sys.executable, "-I", str(Path(acp_bridge.__file__)), *program)


_STOPS: Mapping[str, Verdict] = {
    "end_turn": Verdict(True),
    "max_turn_requests": Verdict(False, "the limit of turns was reached", ReasonCode.TURN_LIMIT),
    "max_tokens": Verdict(False, "the last response was cut at the model's output limit", ReasonCode.NO_RESULT),
    "refusal": Verdict(False, "the model declined the task", ReasonCode.MODEL_REQUEST_REFUSED),
    "cancelled": Verdict(False, "the turn was cancelled"),
}
"""Values of `stopReason` (agentclientprotocol.com, "Prompt Turn", "Stop Reasons")."""
_TEXTS = ("agent_message_chunk", "agent_thought_chunk")


class AcpTranscript(JsonTranscript):
    """The lines of `acp_bridge`."""

    denial = re.compile(r"(?!)")
    """Matches the output of a tool call that a rule of the CLI denied: no field says so."""

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._kind = ""
        """Whether the text is a message or a thought."""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        """Record what a line says, and yield its messages."""
        match event.get("type"):
            case "update":
                yield from self._update(event)
            case "refused":
                self.refuse(self.tool_names.get(text_at(event, "toolCallId")) or text_at(event, "title"))
            case "result":
                reason = text_at(event, "stopReason")
                self.conclude(_STOPS.get(reason) or Verdict(False, f"it stopped with {reason[:100] or 'no reason'}"))
                yield from self._whole_text()
            case "error":
                words = text_at(event, "data", "message") or text_at(event, "message") or "an error without a message"
                error = self.fail(words)
                yield from self._whole_text()
                yield error

    def _update(self, update: Mapping[str, object]) -> Iterator[Message]:
        kind = text_at(update, "sessionUpdate")
        if kind in _TEXTS:
            if kind != self._kind:
                yield from self._whole_text()
            self._kind = kind
            self._text.append(text_at(update, "content", "text"))
        elif kind in ("tool_call", "tool_call_update"):
            yield from self._whole_text()
            yield from self._tool_call(update)

    def _whole_text(self) -> Iterator[Message]:
        text, self._text = "".join(self._text), []
        if text and self._kind == _TEXTS[0]:
            self.final_message = text
        yield Message(text, progress=True)

    def _tool_call(self, call: Mapping[str, object]) -> Iterator[Message]:
        call_id, status, arguments = text_at(call, "toolCallId"), text_at(call, "status"), value_at(call, "rawInput")
        name = self.tool_names.setdefault(call_id, text_at(call, "title"))
        if arguments and call_id not in self.running_tools and status not in ("completed", "failed"):
            yield self.tool_started(call_id, name, text_at(arguments, "command") or arguments)
        if status in ("completed", "failed"):
            self.tool_ended(call_id)
            output = _output(call)
            if status == "failed" and self.denial.search(output):
                self.refuse(name)
            yield from tool_output(output)


def _output(call: Mapping[str, object]) -> str:
    """Return what a tool printed: as content, or where the CLIs have it in the raw output."""
    texts = [text_at(part, "content", "text") for part in objects_at(call, "content")]
    raw = value_at(call, "rawOutput")
    return "\n".join(text for text in texts if text) or text_at(raw, "output_for_prompt") or text_at(raw, "output")
