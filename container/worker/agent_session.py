"""The agent's side of an attempt: its CLI, the way to its model, and what is known about its end."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

import structlog

from outpost.domain.agents import CATALOGUE
from outpost.domain.protocol import Assignment, Credentials
from outpost.domain.reasons import ReasonCode
from worker.adapters import ADAPTERS
from worker.adapters.base import Adapter, Run
from worker.adapters.transcript import Message
from worker.agent_output import AgentOutput
from worker.agent_process import AgentCommand, AgentEnd, run_agent
from worker.isolation import Isolation
from worker.model_proxy.access import ModelAccess, ModelKey, model_access
from worker.model_proxy.calls import ModelCalls
from worker.model_proxy.meter import Meter, Purse
from worker.model_proxy.upstream import Signer
from worker.outcome import Evidence
from worker.settings import Settings
from worker.stop import StopSignal
from worker.store import AttemptStore, SecretError
from worker.workspace import Workspace

PREPARE_SECONDS = 30.0

_log = structlog.get_logger()


@dataclass
class AgentSession:
    """One agent, from its preparation to its end. `prepare` comes first; `close` always follows."""

    assignment: Assignment
    settings: Settings
    workspace: Workspace
    store: AttemptStore
    on_key: Callable[[Mapping[str, str]], None]
    """Called with a name and the value of a key that was read again, before it is used."""
    purse: Purse | None = None
    """The money for model calls; None: they may cost anything."""
    settings_files: tuple[str, ...] = ()
    """The repository's settings of the CLI, as paths, that can keep a run from working."""
    _access: ModelAccess = field(default_factory=ModelAccess)
    _model_credentials: Credentials | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _secrets: Mapping[str, str] = field(default_factory=dict)
    _output: AgentOutput | None = None

    @cached_property
    def _adapter(self) -> Adapter:
        return ADAPTERS[self.assignment.spec.agent]

    @property
    def final_message(self) -> str | None:
        """The last message of the agent."""
        return self._output.transcript.final_message if self._output else None

    @property
    def meter(self) -> Meter:
        """What the model calls have used so far."""
        return self._access.meter

    def prepare(self, secrets: Mapping[str, str]) -> None:
        """Open the way to the model, and keep the CLI's own files out of the patch. Raises `ModelKeyError`."""
        spec = self.assignment.spec
        self._access = self._open.enter_context(
            model_access(
                spec.agent,
                self._signer() or self._key(secrets),
                upstream=self.settings.model_url,
                budget=self.assignment.token_budget,
                purse=self.purse,
                models=[*self.assignment.models.values(), *([spec.model_id] if spec.model_id else [])],
            )
        )
        (self.workspace.git_dir / "info" / "exclude").write_text("".join(f"{p}\n" for p in self._adapter.litter))
        self.settings_files = tuple(self.workspace.existing(self._adapter.settings_files))
        # The other secrets, such as a provider's key, stay with the harness.
        self._secrets = {name: secrets[name] for name in spec.additional_secrets if name in secrets}

    def run(self, isolation: Isolation, stop: StopSignal, on_message: Callable[[Message], object]) -> Evidence:
        """Return what is known of the agent's run. Raises `StartError`, `IsolationError`, `SubprocessError`."""
        spec, workspace = self.assignment.spec, self.workspace
        base, tokens = self._base_environment(), self._access.environment
        invocation = self._adapter.invocation(
            Run(
                workspace.task_file,
                workspace.home,
                spec.model_id,
                self._access.base_url,
                self.assignment.models,
                environment=base,
                workspace=workspace.path,
                tokens=tokens,
                bedrock=self._access.bedrock,
                settings_files=self.settings_files,
            )
        )
        self._lay_out(invocation.home_files)
        command = AgentCommand(
            invocation,
            # The platform's variables come before a tenant's secrets of the same names.
            environment={**self._secrets, **base, **invocation.environment, **tokens},
            directory=workspace.path,
            time_limit=spec.timeout_seconds,
            silence_limit=self.assignment.no_progress_seconds,
        )

        self._output = output = AgentOutput(self._adapter.transcript(), on_message, self._access.calls)
        end = run_agent(command, isolation, stop, output)
        return self._evidence(end, output)

    def _evidence(self, end: AgentEnd, output: AgentOutput) -> Evidence:
        transcript, calls = output.transcript, self._access.calls or ModelCalls()
        failure, offered = calls.last_failure, calls.offered_tools
        over_budget = failure is not None and failure.error.code is ReasonCode.BUDGET_EXCEEDED
        return Evidence(
            end=end,
            time_limit=self.assignment.spec.timeout_seconds,
            has_final_event=transcript.has_final_event,
            verdict=transcript.verdict,
            refused_tools=tuple(transcript.refused_tools),
            model_calls=calls.succeeded if self._access.calls else None,
            call_failure=failure,
            last_ending=calls.last_ending,
            stops_at_tool=self._adapter.stops_at_tool,
            # Where it was offered no tools at all, none is missing.
            missing_tools=tuple(tool for tool in self._adapter.tools if tool not in offered) if offered else (),
            refusal=self._access.meter.refusal if over_budget else None,
            exit_meaning=self._adapter.exit_codes.get(end.exit_code) if end.exit_code is not None else None,
            last_error_line=output.last_error_line,
        )

    def close(self) -> None:
        """Close the way to the model."""
        self._open.close()

    def _base_environment(self) -> dict[str, str]:
        """All that every agent gets: nothing of ours is inherited."""
        return {
            "PATH": self.settings.agent_path,
            "HOME": str(self.workspace.home),
            "TMPDIR": str(self.workspace.scratch),
            "USER": "agent",
            "OUTPOST_CONTEXT": str(self.workspace.context_file),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            # The way to the model leads over loopback, whatever proxy a repository or a tenant's secret names.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Outpost agent",
            "GIT_AUTHOR_EMAIL": "agent@outpost.invalid",
            "GIT_COMMITTER_NAME": "Outpost agent",
            "GIT_COMMITTER_EMAIL": "agent@outpost.invalid",
        }

    def use(self, credentials: Credentials) -> None:
        """Take new credentials for model calls over."""
        self._model_credentials = credentials

    def _signer(self) -> Signer | None:
        bedrock = self.assignment.bedrock
        if bedrock is None:
            return None
        return Signer(bedrock.region, lambda: self._model_credentials or bedrock.credentials)

    def _key(self, secrets: Mapping[str, str]) -> ModelKey | None:
        """Return the key to run with, without the newline that a file or a terminal adds: the tenant's own first."""
        own = self.assignment.spec.additional_secrets
        names = [name for name in CATALOGUE[self.assignment.spec.agent].token_variables if name in secrets]
        if not names:
            return None
        name = min(names, key=lambda name: name not in own)
        value = secrets[name].strip()
        return ModelKey(value, lambda: self._read_again(name, value), own=name in own)

    def _read_again(self, name: str, before: str) -> str:
        try:
            key = self.store.read_secrets({name: self.assignment.secrets[name]})[name].strip()
        except SecretError as error:
            _log.warning("the key could not be read again", error=str(error))
            return before
        self.on_key({f"{name} (rotated)": key})
        return key

    def _lay_out(self, files: Mapping[str, str]) -> None:
        """Put files into the agent's home, as the agent: what is there is its own."""
        for number, (name, content) in enumerate(files.items()):
            source = self.workspace.root / f"home-file-{number}"
            source.write_text(content)
            source.chmod(0o644)
            target = str(self.workspace.home / name)
            self.workspace.as_agent(["install", "-D", "-m", "0644", str(source), target], timeout=PREPARE_SECONDS)
