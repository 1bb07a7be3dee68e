"""The nine acceptance criteria of the migration, looked at live. Without evidence a criterion is inconclusive."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from outpost.report import Check, Status, overall
from outpost_client import ApiError
from outpost_migration.context import Context
from outpost_migration.endpoint import V2Endpoint
from outpost_migration.errors import MigrationError
from outpost_migration.mcp import TOOLS, McpClient
from outpost_migration.monitor.model import CURRENT_PLAN, Plan
from outpost_migration.steps.archive import ArchiveReport, restore
from outpost_migration.steps.clients import ClientUpdateReport, uses_url
from outpost_migration.steps.monitor import watch_of
from outpost_migration.steps.preflight import load_balancer_healthy, service_running

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""The project's documentation."""
LOGS_WINDOW = timedelta(hours=6)
QUIET_WINDOW = timedelta(hours=24)
DELIVERY_LAG = timedelta(minutes=15)
"""A window of the trail is evaluated this long after its end, at the earliest."""
_ERROR = re.compile(r'"level"\s*:\s*"(error|critical)"|^\s*\[?ERROR\]?\b|Traceback \(most recent call last\)', re.I)
"""Lines of the platform's own errors: structured ones, and what a runtime prints when code fails."""

Finding = tuple[bool | None, list[str]]


@dataclass(frozen=True)
class Acceptance:
    """The criteria of one run, in one environment."""

    context: Context
    docs: Path
    """The folder of the documentation."""

    def checks(self) -> list[Check]:
        """Look at all nine. A criterion that cannot be looked at is inconclusive, and says why."""
        return [self._check(number, title, look, remedy) for number, (title, look, remedy) in _criteria(self).items()]

    def _check(self, number: int, title: str, look: Callable[[], Finding], remedy: str) -> Check:
        self.context.progress(f"Criterion {number}: {title}")
        try:
            holds, evidence = look()
        except (ClientError, BotoCoreError, ApiError, MigrationError, httpx.HTTPError, OSError) as error:
            holds, evidence = None, [f"could not be looked at: {error}"]
        return Check.of(f"criterion-{number}", title, holds, evidence, remedy)

    def clients_point_at_v2(self) -> Finding:
        """Criterion 1: the secret, and each client's file."""
        current = self.context.secret.current()
        if current is None:
            return None, ["secretsmanager:GetSecretValue: no value"]
        held = current.endpoint == V2Endpoint(endpoint=self.context.url)
        evidence = [f"secretsmanager:GetSecretValue: {current.endpoint.model_dump_json(by_alias=True)}"]
        files_hold, files_evidence = self.client_files()
        return _both(held, files_hold), [*evidence, *files_evidence]

    def client_files(self) -> Finding:
        """Each file of the client-update-report, read again now."""
        report = self.context.last_report(ClientUpdateReport)
        if report is None or not report.files:
            return None, ["no client-update-report names a configuration file"]
        wrong = [file.path for file in report.files if not uses_url(Path(file.path), self.context.url)]
        return not wrong, [f"{len(report.files)} files read", *(f"does not point at v2: {path}" for path in wrong)]

    def tools_documented(self) -> Finding:
        """Criterion 2: what the server lists against what the documentation names."""
        listed = McpClient(self.context.url, self.context.key or "").tools()
        pages = sorted(self.docs.rglob("*.md"))
        text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
        documented = {name for name in listed if re.search(rf"^#+ .*`?{re.escape(name)}\b", text, re.MULTILINE)}
        missing, absent = sorted(listed - documented), sorted(set(TOOLS) - listed)
        evidence = [
            f"MCP tools/list: {len(listed)} tools; {len(documented)} have a heading in {len(pages)} pages",
            *(f"not documented: {name}" for name in missing),
            *(f"not listed by the server: {name}" for name in absent),
        ]
        return bool(listed) and not missing and not absent, evidence

    def archive_restores(self) -> Finding:
        """Criterion 3: restored again, now."""
        report = self.context.last_report(ArchiveReport)
        if report is None:
            return None, ["no archive-report"]
        prefix = report.archive_location.partition(f"{self.context.documents.bucket}/")[2]
        return restore(self.context, prefix)

    def no_errors_in_logs(self) -> Finding:
        """Criterion 4: the control plane's and the functions' logs of six hours. Agents' failures are not in them."""
        logs, now = self.context.deployment.client("logs"), self.context.now()
        prefix = f"/outpost/{self.context.deployment.environment}/"
        since = now - LOGS_WINDOW
        errors, read, oldest, groups = [], 0, now, []
        for group in _pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
            name = group["logGroupName"]
            if name.removeprefix(prefix).startswith(("worker", "trail", "flow")):
                continue
            groups.append(name)
            oldest = min(oldest, _first_event(logs, name) or now)
            for event in _pages(
                logs, "filter_log_events", "events", logGroupName=name, startTime=_ms(since), endTime=_ms(now)
            ):
                read += 1
                if _ERROR.search(event["message"]):
                    errors.append(f"{name}: {event['message'].strip()[:160]}")
        evidence = [
            f"logs:FilterLogEvents {len(groups)} groups, {since:%Y-%m-%d %H:%M} to {now:%H:%M} UTC: {read} lines, "
            f"{len(errors)} errors; the oldest line is of {oldest:%Y-%m-%d %H:%M} UTC",
            *errors[:5],
        ]
        if errors:
            return False, evidence
        covered = read > 0 and oldest <= since
        return (True if covered else None), evidence

    def baseline_exists(self) -> Finding:
        """Criterion 5: percentiles of a healthy window were saved."""
        plan = self.context.documents.read(Plan, CURRENT_PLAN)
        baseline = watch_of(self.context).baseline(plan.value) if plan else None
        if plan is None or baseline is None:
            return None, ["no baseline.json: the monitor's window is not over, or was not healthy"]
        whole = baseline.until - baseline.since >= QUIET_WINDOW
        return (True if whole else None), [
            f"baseline.json: {baseline.samples} samples, {baseline.since:%Y-%m-%d %H:%M} to "
            f"{baseline.until:%Y-%m-%d %H:%M} UTC, p95 {baseline.latency_ms['p95']:.1f} ms"
        ]

    def no_v1_dispatch(self) -> Finding:
        """Criterion 6: the trail of 24 hours, each of which it must know something of."""
        trail, end = self.context.deployment.trail, self.context.now() - DELIVERY_LAG
        start = end - QUIET_WINDOW
        calls = [call for call in trail.calls(start, end, self.context.host.instance_id) if call.counts]
        hours = [start + timedelta(hours=hour) for hour in range(24)]
        silent = [hour for hour in hours if not trail.alive(hour, hour + timedelta(hours=1))]
        evidence = [
            f"cloudtrail:LookupEvents SendCommand {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: "
            f"{len(calls)} dispatches by v1",
            *(f"{call.time:%H:%M:%S} {call.caller}: {call.kind}" for call in calls[:10]),
            *(f"the event history knows nothing of the hour from {hour:%H:%M}" for hour in silent[:3]),
        ]
        return (False if calls else None if silent else True), evidence

    def service_healthy(self) -> Finding:
        """Criterion 7: the service runs, its targets are healthy."""
        found = [service_running(self.context), load_balancer_healthy(self.context)]
        return _holds(overall(found)), [text for check in found for text in check.evidence]

    def api_documented(self) -> Finding:
        """Criterion 8: every operation of the served OpenAPI is described, with examples."""
        answer = httpx.get(f"{self.context.url}/openapi.json", timeout=30)
        answer.raise_for_status()
        document = answer.json()
        operations = list(_operations(document))
        bare = [name for name, operation in operations if not operation.get("description")]
        without = [name for name, operation in operations if not _has_example(operation, document)]
        evidence = [
            f"GET /openapi.json: {len(operations)} operations, {len(bare)} without description, "
            f"{len(without)} without example",
            *(f"without description: {name}" for name in bare[:5]),
            *(f"without example: {name}" for name in without[:5]),
        ]
        return bool(operations) and not bare and not without, evidence

    def clients_updated(self) -> Finding:
        """Criterion 9: the update was done, and nobody has undone it."""
        report = self.context.last_report(ClientUpdateReport)
        if report is None:
            return None, ["no client-update-report"]
        holds, evidence = self.client_files()
        said = (
            f"client-update-report of {report.finished_at:%Y-%m-%d %H:%M} UTC: config_updated {report.config_updated}"
        )
        return _both(report.config_updated, holds), [said, *evidence]


def _criteria(of: Acceptance) -> dict[int, tuple[str, Callable[[], Finding], str]]:
    clients = "Run `outpost migrate update-clients`, then `outpost migrate cutover`"
    return {
        1: ("Clients point at the load balancer", of.clients_point_at_v2, clients),
        2: ("Every MCP tool is documented", of.tools_documented, "Document each tool under a heading with its name"),
        3: ("v1's scripts are archived and restore", of.archive_restores, "Run `outpost migrate archive`"),
        4: ("No errors in the logs for 6 hours", of.no_errors_in_logs, "Mend what the lines say, then wait 6 hours"),
        5: ("A monitoring baseline exists", of.baseline_exists, "Let `outpost migrate monitor` end"),
        6: ("No dispatch by v1 for 24 hours", of.no_v1_dispatch, "Move the callers that are named, then wait 24 hours"),
        7: ("The service is healthy and running", of.service_healthy, "See the service's events"),
        8: ("The API's documentation is complete", of.api_documented, "Describe each operation, with examples"),
        9: ("Clients' configuration is updated", of.clients_updated, clients),
    }


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is False or second is False:
        return False
    return True if first and second else None


def _holds(status: Status) -> bool | None:
    return {"pass": True, "fail": False, "inconclusive": None}[status]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete", "patch"):
                yield f"{method.upper()} {path}", operation


def _has_example(operation: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether request or success response shows an example, itself or in the schema that it refers to."""
    answers = [answer for code, answer in operation.get("responses", {}).items() if code.startswith(("2", "3"))]
    bodies = [*answers, operation.get("requestBody", {})]
    media = [content for body in bodies for content in body.get("content", {}).values()]
    nothing_to_show = not media
    return nothing_to_show or any(
        "example" in content or "examples" in content or _schema_example(content.get("schema", {}), document)
        for content in media
    )


def _schema_example(schema: dict[str, Any], document: dict[str, Any]) -> bool:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document.get("components", {}).get("schemas", {}).get(name, schema) if name else schema
    return "example" in found or "examples" in found


def _pages(client: Any, operation: str, field: str, **request: Any) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate(**request):
        yield from page.get(field, [])


def _first_event(logs: Any, group: str) -> datetime | None:
    times = [
        stream["firstEventTimestamp"]
        for stream in _pages(logs, "describe_log_streams", "logStreams", logGroupName=group)
        if stream.get("firstEventTimestamp")
    ]
    return datetime.fromtimestamp(min(times) / 1000, tz=UTC) if times else None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
