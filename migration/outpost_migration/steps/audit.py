"""audit: what v1 consists of, who uses it, and the first version of the endpoint's secret."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from outpost.report import Check
from outpost_migration.context import Context
from outpost_migration.endpoint import V1Endpoint
from outpost_migration.host import Tool
from outpost_migration.monitor.documents import Part
from outpost_migration.monitor.model import HOST, V1Host
from outpost_migration.step import Report, Step
from outpost_migration.v1.calls import Call, Kind
from outpost_migration.v1.layout import DOCUMENT, RUNS_FOLDER, SCRIPTS

LOOK_BACK = timedelta(days=30)
"""How far back callers are looked for: as long as SSM knows what they ran."""


class Dependency(Part):
    """The instance that v1's clients send commands to."""

    instance_id: str
    region: str
    document: str
    ping: str


class Caller(Part):
    """A user of v1."""

    caller: str
    dispatches: int
    reads: int
    last_at: datetime


class ProviderAudit(Report):
    """audit: what v1 consists of and who uses it."""

    file: ClassVar[str] = "provider-audit"
    step: Literal["audit"] = "audit"
    current_tools: list[Tool]
    ssm_dependencies: list[Dependency]
    callers: list[Caller]
    runs: int
    runs_bytes: int


def run(context: Context) -> ProviderAudit:
    """Find v1's scripts and who calls them; write the endpoint's first version."""
    host, region = context.host, context.deployment.region
    tools = host.scripts()
    runs, size = map(int, host.checked(_COUNT).split())
    started_at, since = context.started_at, context.started_at - LOOK_BACK
    alive = context.deployment.trail.has_events(since, started_at)
    calls = context.deployment.trail.calls(since, started_at, host.instance_id)
    _remember(context, V1Host(instance_id=host.instance_id, region=region))
    current = context.secret.current()
    if current is None:
        value = V1Endpoint(instance_id=host.instance_id, region=region)
        context.change(
            f"Write the endpoint's secret: {value.model_dump_json(by_alias=True)}", lambda: context.secret.write(value)
        )
        current = context.secret.current()
    missing = sorted(set(SCRIPTS) - {tool.name for tool in tools})
    checks = [
        Check.of(
            "scripts",
            f"All {len(SCRIPTS)} scripts of v1 were found",
            not missing,
            [f"{len(tools)} files on {host.instance_id}", *(f"missing: {name}" for name in missing)],
            "Find out where they went before anything is archived",
        ),
        Check.of(
            "callers",
            "The callers of the last 30 days are known",
            True if alive else None,
            [f"cloudtrail:LookupEvents SendCommand {since:%Y-%m-%d} to {started_at:%Y-%m-%d}: {len(calls)} calls"],
            "The event history is empty: check the region and the role",
        ),
        Check.of(
            "secret",
            "The endpoint's secret has a value",
            None if context.dry_run and current is None else current is not None,
            [f"secretsmanager:GetSecretValue: {current.endpoint.provider}" if current else "no version yet"],
            "Run the step again",
        ),
    ]
    return context.report(
        ProviderAudit,
        checks,
        current_tools=tools,
        ssm_dependencies=[Dependency(instance_id=host.instance_id, region=region, document=DOCUMENT, ping=host.ping())],
        callers=callers_of(calls),
        runs=runs,
        runs_bytes=size,
    )


STEP = Step(ProviderAudit, run, needs=("preflight",), takes="5 s", changes="the secret's first version, which names v1")
_COUNT = (
    f"mkdir -p {RUNS_FOLDER} && find {RUNS_FOLDER} -mindepth 1 -maxdepth 1 -type d | wc -l && "
    f"du -sk {RUNS_FOLDER} | awk '{{print $1 * 1024}}'"
)


def _remember(context: Context, host: V1Host) -> None:
    known = context.documents.read(V1Host, HOST)
    if known is None or known.value != host:
        context.change(
            f"Note {host.instance_id} as v1's host for the monitor and the watch",
            lambda: context.documents.replace(HOST, host),
        )


def callers_of(calls: Iterable[Call]) -> list[Caller]:
    """Return who used v1, the busiest first; what the migration itself ran is left out."""
    by_caller: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.counts or call.kind is Kind.READ:
            by_caller[call.caller].append(call)
    found = [
        Caller(
            caller=caller,
            dispatches=sum(call.counts for call in theirs),
            reads=sum(call.kind is Kind.READ for call in theirs),
            last_at=max(call.time for call in theirs),
        )
        for caller, theirs in by_caller.items()
    ]
    return sorted(found, key=lambda entry: -entry.dispatches)
