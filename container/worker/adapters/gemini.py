"""Gemini CLI: headless with `--prompt`, the prompt itself from its standard input, one JSON event a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_IWGRP, S_IWOTH

from outpost.domain.reasons import ReasonCode
from worker.adapters.base import Adapter, Invocation, Run, StartError
from worker.adapters.transcript import JsonTranscript, Message, Verdict, error_line, tool_output
from worker.json_values import error_text_at, text_at

_SYSTEM_SETTINGS = Path(__file__).with_name("gemini_settings.json")
_PROJECT_SETTINGS = ".gemini/settings.json"
"""Of a project, below its folder, and of a user, below the home folder."""
_ENVIRONMENT = {
    "GEMINI_CLI_SYSTEM_SETTINGS_PATH": str(_SYSTEM_SETTINGS),
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
    **dict.fromkeys(
        (
            *("CLOUD_SHELL", "GEMINI_CLI_USE_COMPUTE_ADC", "GOOGLE_GENAI_USE_GCA"),
            *("GOOGLE_GENAI_USE_VERTEXAI", "GEMINI_API_KEY_AUTH_MECHANISM", "GOOGLE_GENAI_API_VERSION"),
            *("CODE_ASSIST_ENDPOINT", "GEMINI_CLI_CUSTOM_HEADERS", "GEMINI_CLI_HOME", "GEMINI_MODEL", "NODE_OPTIONS"),
            *(
                "GEMINI_SANDBOX",
                "GEMINI_CLI_EXP_AGENT",
                "GEMINI_SYSTEM_MD",
                "GEMINI_WRITE_SYSTEM_MD",
                "GEMINI_TELEMETRY_ENABLED",
            ),
        ),
        "",
    ),
}
"""Variables that are set, if only to nothing, are not taken from a repository's `.gemini/.env` or `.env`."""


_NO_MCP_SERVERS = "--allowed-mcp-server-names=none"
"""It waits for every server of a project before it begins, ten minutes for each that does not respond."""


def _user_settings(run: Run) -> dict[str, object]:
    """Return the system settings, and this run's model for all calls: every model configuration extends `base`."""
    settings: dict[str, object] = json.loads(_SYSTEM_SETTINGS.read_bytes())
    override = {"match": {"model": "base"}, "modelConfig": {"model": run.model}}
    return settings | ({"modelConfigs": {"customOverrides": [override]}} if run.model else {})


def _writable_by_others(file: Path) -> Path | None:
    """Return the file, or the folder above it, for which Gemini CLI skips system settings; None when it reads them.

    All have to belong to root, and nobody else may write them (packages/core/src/utils/security.ts).
    """
    stats = ((each, each.stat()) for each in (file, *file.parents))
    return next((each for each, stat in stats if stat.st_uid or stat.st_mode & (S_IWGRP | S_IWOTH)), None)


_UNFINISHED: Mapping[str, ReasonCode] = {
    "Maximum session turns exceeded": ReasonCode.TURN_LIMIT,
    "Loop detected, stopping execution": ReasonCode.TURN_LIMIT,
}
"""Messages of error events after which a result of status `success` follows although the run was stopped."""

_ERROR_TYPES: Mapping[str, ReasonCode] = {
    "FatalTurnLimitedError": ReasonCode.TURN_LIMIT,
    "FatalAuthenticationError": ReasonCode.MODEL_KEY_UNUSABLE,
}
"""Types of the error in a result that no model call shows (packages/core/src/utils/errors.ts)."""

_UNCONFIRMED = "requires user confirmation, which is not supported in non-interactive mode"
"""How a tool's error ends that a repository's settings want somebody to confirm; it has no type of its own."""


class _Events(JsonTranscript):
    """stream-json (packages/core/src/output/types.ts, `JsonStreamEvent`)."""

    def __init__(self) -> None:
        super().__init__()
        self._message: list[str] = []
        self._error = ""
        self._stopped: Verdict | None = None

    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        kind = event.get("type")
        self.finished = self.finished and kind not in ("message", "tool_use", "tool_result")
        if kind == "message":
            if event.get("role") == "assistant":
                self._stopped = None
                self._message.append(text_at(event, "content"))  # in pieces, wherever the stream was cut
            return
        if self._message:
            self.final_message = "".join(self._message)
            self._message = []
            yield Message(self.final_message, progress=True)
        match kind:
            case "result":
                yield from self._result(event)
            case "tool_use":
                self._stopped = None
                yield self.tool_started(text_at(event, "tool_id"), text_at(event, "tool_name"), event.get("parameters"))
            case "tool_result":
                yield from self._tool_result(event)
            case "error":
                yield self._error_event(event)

    def _result(self, event: Mapping[str, object]) -> Iterator[Message]:
        if event.get("status") == "success":
            self.conclude(self._stopped or Verdict(True))
        else:
            # A response that could not be used ends with an error event, and a result without the error.
            words = error_text_at(event, "error") or self._error or "the run failed"
            yield self.fail(words, _ERROR_TYPES.get(text_at(event, "error", "type")))

    def _error_event(self, event: Mapping[str, object]) -> Message:
        self._error = text_at(event, "message")
        code = _UNFINISHED.get(self._error)
        if code or event.get("severity") == "error":
            self._stopped = Verdict(False, self._error, code)  # unless it continues
        return error_line(self._error)

    def _tool_result(self, event: Mapping[str, object]) -> Iterator[Message]:
        name, words = self.tool_ended(text_at(event, "tool_id")), text_at(event, "error", "message")
        refused = text_at(event, "error", "type") == "policy_violation" or _UNCONFIRMED in words
        if event.get("status") == "error" and refused:
            self.refuse(name)
        elif text_at(event, "error", "type") == "stop_execution":
            self._stopped = Verdict(False, words)
        yield from tool_output(text_at(event, "output") or words)


class Gemini(Adapter):
    """@google/gemini-cli.

    Its system settings come before the project's, and those before the user's (geminicli.com, "Configuration"). It
    reads them only from a file and folders that belong to root and nobody else may write: as in the image. Elsewhere,
    such as in a checkout on a person's machine, a project's settings would come first.
    """

    transcript = _Events
    exit_codes: Mapping[int, str] = {
        41: "Gemini CLI could not sign in",
        42: "Gemini CLI refused its input",
        52: "Gemini CLI refused its settings",
        53: "the limit of turns was reached",
    }
    stops_at_tool = (
        ReasonCode.CONTEXT_EXCEEDED,
        "Gemini CLI stops so, without an error, when its next request would exceed the model's context window",
    )
    tools = ("run_shell_command", "replace", "write_file")
    settings_files = (_PROJECT_SETTINGS, ".gemini/.env", ".env")

    def invocation(self, run: Run) -> Invocation:
        """Return the call; the container is the sandbox, hence every tool call is approved. Raises `StartError`."""
        if _PROJECT_SETTINGS in run.settings_files and (place := _writable_by_others(_SYSTEM_SETTINGS)):
            raise StartError(
                f"Gemini CLI would take the repository's {_PROJECT_SETTINGS} before the platform's settings, which it "
                f"skips because {place} does not belong to root, or others may write it: run the agent from an image "
                "(ENGINE=docker or podman), put the checkout where only root can write, or remove the file"
            )
        argv = ("gemini", "--prompt=", "--output-format=stream-json", "--approval-mode=yolo", _NO_MCP_SERVERS)
        environment = {**_ENVIRONMENT, "GOOGLE_GEMINI_BASE_URL": run.base_url or ""}
        return Invocation(
            argv=(*argv, f"--model={run.model}") if run.model else argv,
            environment=environment,
            stdin=run.task_file,
            home_files={_PROJECT_SETTINGS: json.dumps(_user_settings(run))},
        )
