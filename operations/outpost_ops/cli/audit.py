"""`outpost audit`: who called what, and what became of dispatches, from an environment's audit log; and its proof."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from outpost.domain.ids import now
from outpost_client.cli.connection import ERROR
from outpost_client.cli.options import Json
from outpost_client.cli.output import err, out, print_json, print_table, show_error
from outpost_ops.cli.checks import EXIT_CODES, STYLES, aws_session, use_local
from outpost_ops.cli.controls import CONFIG, Environment
from outpost_ops.config import load
from outpost_ops.errors import OperationError
from outpost_ops.verify.audit_log import AuditReport, fetch_key, load_key, open_evidence, verify_log

if TYPE_CHECKING:
    from types_boto3_logs.client import CloudWatchLogsClient

Record = dict[str, Any]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(help="Show audit records, or verify that none is missing or changed.")

Since = Annotated[str, typer.Option(help="How far back: 30m, 12h, 7d")]


@app.callback(invoke_without_command=True)
def audit(  # noqa: PLR0913 - an option for each field that records are looked up by
    context: typer.Context,
    *,
    environment: Environment = "local",
    since: Since = "1h",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's")] = None,
    key: Annotated[str | None, typer.Option(help="Only of the key with this prefix")] = None,
    dispatch: Annotated[str | None, typer.Option(help="Only about this dispatch")] = None,
    request: Annotated[str | None, typer.Option(help="Only of the request with this id")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only with this outcome: done, refused, failed, COMPLETED ...")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many records, the newest")] = 200,
    as_json: Json = False,
) -> None:
    """Show audit records, oldest first. It reads CloudWatch Logs and S3 with your own AWS credentials."""
    if context.invoked_subcommand:
        return
    wanted = {"tenant": tenant, "key": key, "dispatch": dispatch, "request_id": request, "outcome": outcome}
    given = {name: value for name, value in wanted.items() if value is not None}
    start = int((now() - _age(since)).timestamp() * 1000)
    with _connected(environment) as session:
        evidence, _ = open_evidence(environment, session)
        found = [*records(evidence.logs, evidence.group, start, given), *_matching(evidence.set_aside(start), given)]
    found = sorted(
        (record for record in found if record.get("at", start) >= start), key=lambda record: str(record["time"])
    )[-limit:]
    if as_json:
        for record in found:
            print_json(record)
        return
    print_table("TIME", "TENANT", "KEY", "WHAT", "ON", "OUTCOME", rows=[_row(record) for record in found])
    err.print(f"{len(found)} records")


@app.command()
def verify(
    environment: Environment = "local",
    since: Since = "24h",
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file of the key that you keep; by default KMS is asked for it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
) -> None:
    """Verify that no record of the audit log was removed, changed or added, by hash chains and signed checkpoints.

    Exit code: 0 all is proved, 1 something is wrong, 3 inconclusive: a writer was killed, or there are no records.
    """
    checked = now()
    start = int((checked - _age(since)).timestamp() * 1000)
    with _connected(environment) as session:
        evidence, arn = open_evidence(environment, session)
        key = load_key(public_key.read_bytes()) if public_key else fetch_key(session, arn)
        report = verify_log(evidence, key, since=start, now=int(checked.timestamp() * 1000))
    print_json(report) if as_json else _show(report)
    raise typer.Exit(EXIT_CODES[report.status])


def _show(report: AuditReport) -> None:
    rows = [
        (each.kind, each.chain or "", f"{each.first}-{each.last}" if each.first else "", each.detail)
        for each in report.findings
    ]
    if rows:
        print_table("FINDING", "CHAIN", "RECORDS", "DETAIL", rows=rows)
    aside = f" ({report.set_aside} set aside in the bucket)" if report.set_aside else ""
    what = f"{report.records} records{aside}, {report.checkpoints} checkpoints: "
    out.print(Text.assemble(what, (report.status, STYLES[report.status])))


@contextmanager
def _connected(environment: str) -> Iterator[boto3.Session]:
    """Yield a session in the environment's region; end the command with what went wrong."""
    try:
        if environment == "local":
            use_local()
        yield aws_session(load(CONFIG / f"{environment}.toml").region)
    except (BotoCoreError, ClientError, OperationError, OSError, ValueError) as error:
        show_error(f"The audit log of {environment} cannot be read: {error}")
        raise typer.Exit(ERROR) from error


def records(client: "CloudWatchLogsClient", group: str, start: int, wanted: dict[str, str]) -> Iterator[Record]:
    """Yield the records since `start` (epoch milliseconds) that have these values, oldest first."""
    conditions = ["($.audit = *)", *(_condition(name, json.dumps(value)) for name, value in wanted.items())]
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=start, filterPattern="{ " + " && ".join(conditions) + " }"
    )
    for page in pages:
        yield from _matching((event.get("message", "") for event in page["events"]), wanted)


def _matching(lines: Iterable[str], wanted: dict[str, str]) -> Iterator[Record]:
    for line in lines:
        record = _parse(line)
        if record and all(_value(record, name) == value for name, value in wanted.items()):
            yield record


def _condition(name: str, value: str) -> str:
    if name == "dispatch":
        return f"(($.dispatch = {value}) || ($.what.dispatch_id = {value}))"
    return f"($.{name} = {value})"


def _parse(line: str) -> Record | None:
    """Return the record on a line, none for what is no record."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "audit" in record else None


def _value(record: Record, name: str) -> str | None:
    if name == "dispatch":
        found = record.get("dispatch") or record.get("what", {}).get("dispatch_id")
    else:
        found = record.get(name)
    return None if found is None else str(found)


def _row(record: Record) -> tuple[str, ...]:
    time = str(record["time"])[:19].replace("T", " ")
    if record["audit"] == "lost":
        return time, "", "", f"{record['records']} records were lost", "", ""
    if record["audit"] == "state":
        what = f"{record['before'] or 'new'} -> {record['status']}"
        on = record["dispatch"]
    else:
        what = f"{record['method']} {record['route'] or '?'}"
        on = " ".join(record["what"].values())
    return time, record["tenant"], record["key"], what, on, str(record["outcome"] or "")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a number with m, h or d: 12h", param_hint="--since")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
