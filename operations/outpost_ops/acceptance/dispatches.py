"""What a tenant does: dispatch, watch, read the log, download, cancel, keep a workspace, promote."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from outpost.domain.agents import CATALOGUE, Agent
from outpost.report import Check
from outpost_client import Client
from outpost_client.live import NoStreamError
from outpost_client.models import Dispatch, DispatchRequest, LogLine, PromotionRequest
from outpost_client.results import Status
from outpost_ops.acceptance.report import DispatchTimes

MARK = "outpost-acceptance"
_SCRIPT = f"echo {MARK} | tee {MARK}.txt"
_PROMPT = f"Write the file {MARK}.txt with the single line {MARK}, change nothing else, and end."
_SECONDS = 900
"""Time limit of a dispatch of the acceptance."""


@dataclass
class Tenant:
    """The acceptance's tenant: its client, and what its dispatches took."""

    client: Client
    repository: str | None = None
    times: list[DispatchTimes] = field(default_factory=list)
    workspace_id: str | None = None
    """The workspace that the check of workspaces kept."""

    def run(self, agent: Agent, task: str, **fields: str) -> tuple[Dispatch, list[Status], list[str]]:
        """Dispatch a task and watch its events to the end.

        Returns the dispatch as it ended, the states and the log lines that the events carried. Raises ApiError and
        NoStreamError.
        """
        request = DispatchRequest(agent=agent, task=task, timeout_seconds=_SECONDS, tags={"made-by": MARK}, **fields)
        accepted = self.client.dispatch(request)
        states, lines = [], []
        for event in self.client.events(accepted.id):
            if isinstance(event, LogLine):
                lines.append(event.message)
            else:
                states.append(event.status)
        ended = self.client.status(accepted.id)
        self._note(ended)
        return ended, states, lines

    def _note(self, ended: Dispatch) -> None:
        if ended.provisioning_at and ended.running_at and ended.ended_at:
            moments = ended.provisioning_at, ended.running_at, ended.ended_at
            claimed, began, done = ((each - ended.created_at).total_seconds() for each in moments)
            self.times.append(DispatchTimes(agent=ended.agent, claimed=claimed, first_instruction=began, ended=done))


def task_of(agent: Agent) -> str:
    """Return the smallest task that leaves a file behind: a script, or a prompt for an agent with a model."""
    return _SCRIPT if CATALOGUE[agent].provider is None else _PROMPT


def check_agent(tenant: Tenant, agent: Agent) -> list[Check]:
    """Run a dispatch of the agent; check its end, its events, its log and every artifact."""
    fields = {"repo": tenant.repository} if tenant.repository else {}
    try:
        ended, states, lines = tenant.run(agent, task_of(agent), **fields)
    except NoStreamError as error:
        remedy = "look for a proxy between here and the load balancer that buffers responses"
        return [Check.of(f"events-{agent}", f"Events of a dispatch to {agent}", False, [str(error)], remedy)]
    reason = ended.reason
    remedy = reason.remedy if reason else ""
    shown = [f"{ended.id}: {ended.status}", f"{reason.code}: {reason.message}" if reason else ""]
    logged = [line.message for line in tenant.client.log_lines(ended.id)]
    return [
        Check.of(f"dispatch-{agent}", f"A dispatch to {agent} succeeds", ended.status is Status.SUCCESS, shown, remedy),
        Check.of(
            f"events-{agent}",
            f"Events of a dispatch to {agent} carry its states and its log",
            bool(states) and states[-1] is ended.status and lines == logged and bool(logged),
            [f"states: {', '.join(states)}", f"{len(lines)} lines in events, {len(logged)} in the log"],
            "read the control plane's log",
        ),
        _check_artifacts(tenant.client, ended),
    ]


def _check_artifacts(client: Client, ended: Dispatch) -> Check:
    evidence, whole = [], True
    with TemporaryDirectory() as folder:
        for number, artifact in enumerate(client.artifacts(ended.id).artifacts):
            target = Path(folder, str(number))
            client.download(artifact, target)
            size = target.stat().st_size
            whole = whole and size == artifact.size
            evidence.append(f"{artifact.name}: {size} of {artifact.size} bytes")
    names = {line.partition(":")[0] for line in evidence}
    return Check.of(
        f"artifacts-{ended.agent}",
        f"Every artifact of a dispatch to {ended.agent} can be downloaded",
        whole and {"output.log", "summary.json"} <= names,
        evidence,
        "read the control plane's and the worker's log",
    )


def check_cancel(tenant: Tenant, agent: Agent) -> Check:
    """Cancel a dispatch right after it was accepted."""
    request = DispatchRequest(agent=agent, task=f"sleep 600; echo {MARK}", tags={"made-by": MARK})
    accepted = tenant.client.dispatch(request)
    tenant.client.cancel(accepted.id, MARK)
    ended = _ended(tenant.client, accepted.id)
    evidence = [f"{ended.id}: {ended.status}"]
    return Check.of("cancel", "A dispatch is cancelled", ended.status is Status.CANCELLED, evidence, "read its log")


def check_workspace(tenant: Tenant, agent: Agent) -> Check:
    """Run two dispatches in one persistent workspace, which the tenant then has."""
    first, _, _ = tenant.run(agent, task_of(agent), workspace_mode="persistent")
    workspace = tenant.workspace_id = first.workspace_id
    if workspace is None:
        evidence = [f"{first.id}: {first.status}, without a workspace"]
        return Check.of("workspace", "A workspace is kept between dispatches", False, evidence, "read its log")
    again = f"test -e {MARK}.txt" if CATALOGUE[agent].provider is None else f"Print the file {MARK}.txt and end."
    second, _, _ = tenant.run(agent, again, workspace_mode="persistent", workspace_id=workspace)
    evidence = [f"{each.id}: {each.status}" for each in (first, second)]
    holds = first.status is second.status is Status.SUCCESS
    return Check.of("workspace", "A workspace is kept between dispatches", holds, evidence, "read its log")


def check_promotion(tenant: Tenant, agent: Agent) -> Check:
    """Push the result of a dispatch to a branch of the test repository that the operator named."""
    title = "A result is promoted to a branch"
    if tenant.repository is None:
        remedy = "name a test repository: make acceptance ENV=... REPO=OWNER/NAME"
        return Check.of("promotion", title, None, ["no test repository was named"], remedy)
    ended, _, _ = tenant.run(agent, task_of(agent), repo=tenant.repository)
    branch = f"outpost/acceptance-{ended.id.lower()}"
    promotion = tenant.client.promote(ended.id, PromotionRequest(branch=branch))
    last = _ended(tenant.client, promotion.id)
    reason = f"{last.reason.code}: {last.reason.message}" if last.reason else ""
    evidence = [f"{tenant.repository} {branch}: {last.status}", reason]
    remedy = last.reason.remedy if last.reason else ""
    return Check.of("promotion", title, last.status is Status.SUCCESS, evidence, remedy)


def _ended(client: Client, dispatch_id: str) -> Dispatch:
    for _ in client.events(dispatch_id):
        pass
    return client.status(dispatch_id)
