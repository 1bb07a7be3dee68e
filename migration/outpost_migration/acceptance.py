"""The nine acceptance criteria of the migration, looked at live. Without evidence a criterion is inconclusive."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from outpost.report import Check, overall
from outpost_client import ApiError
from outpost_migration.context import Context
from outpost_migration.endpoint import V2Endpoint
from outpost_migration.mcp import TOOLS, McpClient
from outpost_migration.step import Finding
from outpost_migration.steps.archive import ArchiveReport, restore
from outpost_migration.steps.clients import ClientUpdateReport, uses_url
from outpost_migration.steps.monitor import watch_of
from outpost_migration.steps.preflight import load_balancer_healthy, service_running
from outpost_ops.errors import OperationError

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""The project's documentation."""
LOGS_WINDOW = timedelta(hours=6)
QUIET_WINDOW = timedelta(hours=24)
DELIVERY_LAG = timedelta(minutes=15)
"""A window of the trail is evaluated this long after its end, at the earliest."""
_ERROR = re.compile(r'"level"\s*:\s*"(error|critical)"|^\s*\[?ERROR\]?\b|Traceback \(most recent call last\)', re.I)
"""Lines of the platform's own errors: structured ones, and what a runtime prints when code fails."""


@dataclass(frozen=True)
class Acceptance:
    """The criteria of one run, in one environment."""

    context: Context
    docs: Path
    """The folder of the documentation."""

    def checks(self) -> list[Check]:
        """Look at all nine. A criterion that cannot be looked at is inconclusive, with the error as evidence."""
        clients = "Run `outpost migrate update-clients`, then `outpost migrate cutover`"
        quiet = "Move the callers that are named, then wait 24 hours"
        criteria = (
            ("Clients point at the load balancer", self.clients_point_at_v2, clients),
            ("Every MCP tool is documented", self.tools_documented, "Document each tool under a heading with its name"),
            ("v1's scripts are archived and restore", self.archive_restores, "Run `outpost migrate archive`"),
            ("No errors in the logs for 6 hours", self.no_errors_in_logs, "Mend the errors, then wait 6 hours"),
            ("A monitoring baseline exists", self.baseline_exists, "Let `outpost migrate monitor` end"),
            ("No dispatch by v1 for 24 hours", self.no_v1_dispatch, quiet),
            ("The service is healthy and running", self.service_healthy, "See the service's events"),
            ("The API's documentation is complete", self.api_documented, "Describe each operation, with examples"),
            ("Clients' configuration is updated", self.clients_updated, clients),
        )
        return [self._check(number, *criterion) for number, criterion in enumerate(criteria, start=1)]

    def _check(self, number: int, title: str, look: Callable[[], Finding], remedy: str) -> Check:
        self.context.progress(f"Criterion {number}: {title}")
        try:
            found = look()
        except (ClientError, BotoCoreError, ApiError, OperationError, httpx.HTTPError, OSError) as error:
            found = Finding(None, [f"could not be looked at: {error}"])
        return Check.of(f"criterion-{number}", title, *found, remedy)

    def clients_point_at_v2(self) -> Finding:
        """Criterion 1: the secret, and each client's file."""
        current = self.context.secret.current()
        if current is None:
            return Finding(None, ["secretsmanager:GetSecretValue: no value"])
        value = current.endpoint.model_dump_json(by_alias=True)
        held = current.endpoint == V2Endpoint(endpoint=self.context.url)
        return _both(Finding(held, [f"secretsmanager:GetSecretValue: {value}"]), self.client_files())

    def client_files(self) -> Finding:
        """Each file of the client-update-report, read again now."""
        report = self.context.last_report(ClientUpdateReport)
        if report is None or not report.files:
            return Finding(None, ["no client-update-report names a configuration file"])
        wrong = [file.path for file in report.files if not uses_url(Path(file.path), self.context.url)]
        evidence = [f"{len(report.files)} files read", *(f"does not point at v2: {path}" for path in wrong)]
        return Finding(not wrong, evidence)

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
        return Finding(bool(listed) and not missing and not absent, evidence)

    def archive_restores(self) -> Finding:
        """Criterion 3: restored again, now."""
        report = self.context.last_report(ArchiveReport)
        if report is None:
            return Finding(None, ["no archive-report"])
        prefix = report.archive_location.partition(f"{self.context.documents.bucket}/")[2]
        return Finding(*restore(self.context, prefix))

    def no_errors_in_logs(self) -> Finding:
        """Criterion 4: the control plane's and the functions' logs of six hours. Agents' failures are not in them."""
        logs, now = self.context.deployment.client("logs"), self.context.now()
        prefix, since = f"/outpost/{self.context.deployment.environment}/", now - LOGS_WINDOW
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        names = filter(None, pages.search("logGroups[].logGroupName"))  # None of a page without groups
        groups = [name for name in names if not name.removeprefix(prefix).startswith(("worker", "trail", "flow"))]
        errors, read, oldest = [], 0, now
        for name in groups:
            oldest = min(oldest, _first_event(logs, name) or now)
            times = {"startTime": _ms(since), "endTime": _ms(now)}
            lines = logs.get_paginator("filter_log_events").paginate(logGroupName=name, **times)
            for message in filter(None, lines.search("events[].message")):  # None of a page without events
                read += 1
                if _ERROR.search(message):
                    errors.append(f"{name}: {message.strip()[:160]}")
        evidence = [
            f"logs:FilterLogEvents {len(groups)} groups, {since:%Y-%m-%d %H:%M} to {now:%H:%M} UTC: {read} lines, "
            f"{len(errors)} errors; the oldest line is of {oldest:%Y-%m-%d %H:%M} UTC",
            *errors[:5],
        ]
        covered = read > 0 and oldest <= since
        return Finding(False if errors else (True if covered else None), evidence)

    def baseline_exists(self) -> Finding:
        """Criterion 5: percentiles of a healthy window were saved."""
        watch = watch_of(self.context)
        plan = watch.plan()
        baseline = watch.baseline(plan) if plan else None
        if baseline is None:
            return Finding(None, ["no baseline.json: the monitor's window is not over, or was not healthy"])
        evidence = (
            f"baseline.json: {baseline.samples} samples, {baseline.since:%Y-%m-%d %H:%M} to "
            f"{baseline.until:%Y-%m-%d %H:%M} UTC, p95 {baseline.latency_ms['p95']:.1f} ms"
        )
        return Finding(True if baseline.until - baseline.since >= QUIET_WINDOW else None, [evidence])

    def no_v1_dispatch(self) -> Finding:
        """Criterion 6: the trail of 24 hours, each of which it must know something of."""
        trail, end = self.context.deployment.trail, self.context.now() - DELIVERY_LAG
        start = end - QUIET_WINDOW
        calls = [call for call in trail.calls(start, end, self.context.host.instance_id) if call.counts]
        silent = trail.gaps(start, end, timedelta(hours=1))
        evidence = [
            f"cloudtrail:LookupEvents SendCommand {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: "
            f"{len(calls)} dispatches by v1",
            *(f"{call.time:%H:%M:%S} {call.caller}: {call.kind}" for call in calls[:10]),
            *(f"the event history knows nothing of the hour from {hour:%H:%M}" for hour in silent[:3]),
        ]
        return Finding(False if calls else None if silent else True, evidence)

    def service_healthy(self) -> Finding:
        """Criterion 7: the service runs, its targets are healthy."""
        found = [service_running(self.context), load_balancer_healthy(self.context)]
        holds = {"pass": True, "fail": False, "inconclusive": None}[overall(found)]
        return Finding(holds, [text for check in found for text in check.evidence])

    def api_documented(self) -> Finding:
        """Criterion 8: every operation of the served OpenAPI is described, with examples."""
        document = httpx.get(f"{self.context.url}/openapi.json", timeout=30).raise_for_status().json()
        operations = list(_operations(document))
        bare = [name for name, operation in operations if not operation.get("description")]
        without = [name for name, operation in operations if not _has_example(operation, document)]
        evidence = [
            f"GET /openapi.json: {len(operations)} operations, {len(bare)} without description, "
            f"{len(without)} without example",
            *(f"without description: {name}" for name in bare[:5]),
            *(f"without example: {name}" for name in without[:5]),
        ]
        return Finding(bool(operations) and not bare and not without, evidence)

    def clients_updated(self) -> Finding:
        """Criterion 9: the update was done, and was not undone."""
        report = self.context.last_report(ClientUpdateReport)
        if report is None:
            return Finding(None, ["no client-update-report"])
        evidence = (
            f"client-update-report of {report.finished_at:%Y-%m-%d %H:%M} UTC: config_updated {report.config_updated}"
        )
        return _both(Finding(report.config_updated, [evidence]), self.client_files())


def _both(first: Finding, second: Finding) -> Finding:
    held = (first.holds, second.holds)
    return Finding(False if False in held else (None if None in held else True), [*first.evidence, *second.evidence])


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete", "patch"):
                yield f"{method.upper()} {path}", operation


def _has_example(operation: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether request or success response shows an example, itself or in the schema that it refers to."""
    responses = [response for code, response in operation.get("responses", {}).items() if code.startswith(("2", "3"))]
    bodies = [*responses, operation.get("requestBody", {})]
    media = [content for body in bodies for content in body.get("content", {}).values()]
    schemas = document.get("components", {}).get("schemas", {})
    shown = [*media, *(_resolved(content.get("schema", {}), schemas) for content in media)]
    return not media or any({"example", "examples"} & set(content) for content in shown)


def _resolved(schema: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)


def _first_event(logs: Any, group: str) -> datetime | None:
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
    times = [time for time in pages.search("logStreams[].firstEventTimestamp") if time]
    return datetime.fromtimestamp(min(times) / 1000, tz=UTC) if times else None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
