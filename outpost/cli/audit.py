"""`outpost audit`: who called what, and what became of dispatches, from an environment's audit log group."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from outpost.cli.connection import ERROR
from outpost.cli.controls import Environment
from outpost.cli.dispatches import Json
from outpost.cli.migration import use_local
from outpost.cli.output import err, print_json, print_table, show_error
from outpost.domain.ids import now
from outpost.names import audit_log_group

if TYPE_CHECKING:
    from types_boto3_logs.client import CloudWatchLogsClient

Record = dict[str, Any]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def audit(  # noqa: PLR0913 - an option for each field that records are looked up by
    *,
    environment: Environment = "local",
    since: Annotated[str, typer.Option(help="How far back: 30m, 12h, 7d")] = "1h",
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
    """Show audit records, oldest first. It reads CloudWatch Logs with your own AWS credentials."""
    wanted = {"tenant": tenant, "key": key, "dispatch": dispatch, "request_id": request, "outcome": outcome}
    given = {name: value for name, value in wanted.items() if value is not None}
    if environment == "local":
        use_local()
    start = int((now() - _age(since)).timestamp() * 1000)
    try:
        found = list(records(boto3.client("logs"), audit_log_group(environment), start, given))[-limit:]
    except (BotoCoreError, ClientError) as error:
        show_error(f"The audit log of {environment} cannot be read: {error}")
        raise typer.Exit(ERROR) from error
    if as_json:
        for record in found:
            print_json(record)
        return
    print_table("TIME", "TENANT", "KEY", "WHAT", "ON", "OUTCOME", rows=[_row(record) for record in found])
    err.print(f"{len(found)} records")


def records(client: "CloudWatchLogsClient", group: str, start: int, wanted: dict[str, str]) -> Iterator[Record]:
    """Yield the records since `start` (epoch milliseconds) that have these values, oldest first."""
    conditions = ["($.audit = *)", *(_condition(name, json.dumps(value)) for name, value in wanted.items())]
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=start, filterPattern="{ " + " && ".join(conditions) + " }"
    )
    for page in pages:
        for event in page["events"]:
            record = _parse(event.get("message", ""))
            if record and all(_value(record, name) == value for name, value in wanted.items()):
                yield record


def _condition(name: str, value: str) -> str:
    if name == "dispatch":
        return f"(($.dispatch = {value}) || ($.what.dispatch_id = {value}))"
    return f"($.{name} = {value})"


def _parse(line: str) -> Record | None:
    """Return the record on a line; the runtime of functions writes other lines as well."""
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
    if record["audit"] == "state":
        what = f"{record['before'] or 'new'} -> {record['status']}"
        on = record["dispatch"]
    else:
        what = f"{record['method']} {record['route'] or '?'}"
        on = " ".join(record["what"].values())
    time = str(record["time"])[:19].replace("T", " ")
    return time, record["tenant"], record["key"], what, on, str(record["outcome"] or "")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a number with m, h or d: 12h", param_hint="--since")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
