"""What the steps of an attempt share."""

import time
from dataclasses import dataclass, field
from functools import cached_property

from outpost.domain.dispatch import Usage
from outpost.domain.protocol import Assignment, Credentials
from outpost.domain.usage import compute_seconds
from worker.agent_process import HeldRoom
from worker.agent_session import AgentSession
from worker.archive import Archive
from worker.attempt_redactor import AttemptRedactor
from worker.broker import BrokerClient
from worker.isolation import Isolation
from worker.lease import Fence, Heartbeat
from worker.lease_calls import LeaseCalls
from worker.logs import RunLog
from worker.model_proxy.meter import Purse
from worker.results import Results
from worker.settings import Identity, Settings
from worker.stop import StopSignal
from worker.store import AttemptStore
from worker.workspace import Workspace


@dataclass(frozen=True)
class Worker:
    """What a worker has before it gets a dispatch."""

    settings: Settings
    identity: Identity
    broker: BrokerClient
    isolation: Isolation
    stop: StopSignal = field(default_factory=StopSignal)
    redactor: AttemptRedactor = field(default_factory=AttemptRedactor)


class StepContext:
    """One assignment with everything that its steps work on, and leave for each other."""

    def __init__(self, assignment: Assignment, worker: Worker) -> None:
        self.assignment = assignment
        self.worker = worker
        self.redactor = worker.redactor
        self.stop = worker.stop
        self.claimed_at = self.ended_at = time.monotonic()
        self.secrets: dict[str, str] = {}
        """Variable -> value."""
        self._register(assignment.credentials, assignment.bedrock.credentials if assignment.bedrock else None)
        self.store = AttemptStore(assignment)
        self.fence = Fence(worker.broker, assignment, worker.stop, self._use_credentials)
        self.store.check, self.store.confirm = self.fence.check, self.fence.confirm
        self.workspace = Workspace(worker.settings, worker.isolation)
        self.archive = Archive(worker.settings.workspaces, assignment) if assignment.spec.workspace_id else None
        self.held_room = HeldRoom(self.workspace.private / "held-room")
        self.log = RunLog(self.store, self.workspace.private / "output.log", self.redactor)
        self.heartbeat = Heartbeat(self.fence, lambda: self.log.progress)
        self.calls = LeaseCalls(self.fence, self.heartbeat)
        self.results = Results(assignment, self.workspace, self.store, self.log, self.redactor)
        self.agent = AgentSession(
            assignment, worker.settings, self.workspace, self.store, self.redactor.register, self._purse()
        )

    def _purse(self) -> Purse | None:
        """Return what holds the money for model calls, where a budget in dollars applies."""
        if not self.assignment.dollar_budget:
            return None
        spec, earlier = self.assignment.spec, self.assignment.earlier_cost
        return Purse(self.calls.grant, lambda text: self.log.event(text, "warning"), spec, earlier)

    def _register(self, credentials: Credentials, bedrock: Credentials | None) -> None:
        """Take the keys out of what is written; those before them are valid for some minutes more."""
        for name, lent in (("attempt-credentials", credentials), ("bedrock-credentials", bedrock)):
            if lent is not None:
                self.redactor.register({f"{name}-{len(self.redactor.known)}": lent.secret_access_key})

    def _use_credentials(self, credentials: Credentials, bedrock: Credentials | None) -> None:
        self._register(credentials, bedrock)
        self.store.use(credentials)
        if bedrock is not None:
            self.agent.use(bedrock)

    def forge_token(self) -> str | None:
        """Return a token for one call of git, if there is one. Raises `ForgeTokenError`, `Stopped`."""
        token = self.calls.forge_token() if self.assignment.forge else None
        if token:  # the last one is still valid
            self.redactor.register({f"forge-token-{len(self.redactor.known)}": token})
        return token

    @cached_property
    def usage(self) -> Usage:
        """What the attempt took so far: counted once, for summary and report alike."""
        end, identity, meter = self.results.end, self.worker.identity, self.agent.meter
        held = time.monotonic() - self.claimed_at
        vcpu, gigabytes = compute_seconds(identity.vcpu, identity.memory_mib, held)
        return Usage(
            duration_seconds=end.duration_seconds if end else 0,
            input_tokens=meter.tokens.input,
            cached_input_tokens=meter.tokens.cached,
            output_tokens=meter.tokens.output,
            model_calls=meter.calls,
            model_cost_usd=meter.cost,
            vcpu_seconds=vcpu,
            gb_seconds=gigabytes,
            capacity=self.worker.settings.capacity,
        )
