"""GitHub Copilot CLI: reads the prompt from its standard input and prints one JSON event a line."""

from collections.abc import Iterator, Mapping

from worker.adapters.base import Adapter, Invocation, Run
from worker.adapters.transcript import JsonTranscript, Message, Verdict, error_line, tool_output
from worker.json_values import number_at, text_at, value_at

_ENVIRONMENT = {"COPILOT_AUTO_UPDATE": "false", "COPILOT_OFFLINE": "true"}
"""Offline: no sign-in at GitHub, no telemetry, no web tools, no GitHub MCP server, no update."""


class _Events(JsonTranscript):
    """`--output-format json`: the events of the session, and `result` at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._error = ""

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        data = value_at(event, "data")
        match event.get("type"):
            case "result":
                self._result(number_at(event, "exitCode"))
            case "assistant.turn_start":
                self.reopen()
            case "assistant.message" if text_at(data, "content"):
                if not text_at(data, "parentToolCallId"):  # a subagent's
                    self.final_message = text_at(data, "content")
                yield Message(text_at(data, "content"), progress=True)
            case "tool.execution_start":
                self.finished = False
                yield self.tool_started(
                    text_at(data, "toolCallId"), text_at(data, "toolName"), value_at(data, "arguments")
                )
            case "tool.execution_complete":
                yield from self._tool_ended(data)
            case "session.error":
                self._error = text_at(data, "message") or "an error without a message"
                self.verdict = Verdict(False, self._error)
                yield error_line(self._error)

    def _result(self, exit_code: int | None) -> None:
        if exit_code == 0:
            self.conclude(Verdict(True))
        else:
            self.conclude(Verdict(False, self._error or f"Copilot CLI reported exit code {exit_code}"))

    def _tool_ended(self, data: object) -> Iterator[Message]:
        name = self.tool_ended(text_at(data, "toolCallId"))
        if text_at(data, "error", "code") == "denied":
            self.refuse(name)
        yield from tool_output(text_at(data, "result", "content") or text_at(data, "error", "message"))


class Copilot(Adapter):
    """@github/copilot, with a model provider of its own (docs.github.com, "Using your own LLM models in Copilot CLI").

    Variables come before settings. Of a folder that nobody trusts it reads no settings, hooks, plugins and MCP servers
    (`copilot help environment`, COPILOT_ALLOW_ALL); its instructions and skills are read.
    """

    transcript = _Events
    exit_codes: Mapping[int, str] = {1: "Copilot CLI reported an error"}
    settings_files = (".github/copilot/settings.json", ".github/mcp.json", ".mcp.json")

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence every tool, path and address is allowed."""
        argv = ["copilot", "--output-format=json", "--allow-all", "--no-ask-user", "--no-color"]
        environment = dict(_ENVIRONMENT)
        if run.base_url:
            environment["COPILOT_PROVIDER_BASE_URL"] = f"{run.base_url}/v1"
            environment |= {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_WIRE_API": "responses"}
        if run.model:
            argv.append(f"--model={run.model}")
        return Invocation(tuple(argv), environment, run.task_file)
