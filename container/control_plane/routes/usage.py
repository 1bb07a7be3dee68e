"""/usage: what dispatches used, by day, agent, model and tag."""

import asyncio
import csv
import io
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from control_plane.auth import AuthenticatedRoute, MayList, Principal
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode, invalid, not_found
from control_plane.openapi import errors
from control_plane.routes.access import Injected
from control_plane.schemas.usage import (
    MOST_DAYS,
    BudgetView,
    UsageFigures,
    UsageQuery,
    UsageReport,
    UsageRow,
    csv_fields,
)
from control_plane.services import Services
from outpost.domain.budgets import month_of, to_usd
from outpost.domain.ids import now
from outpost.domain.tenants import OPERATOR, Scope, Tenant
from outpost.domain.usage_totals import Totals, grouped
from outpost.store.budgets import ENVIRONMENT
from outpost.store.usage import TooManyCountersError

router = APIRouter(route_class=AuthenticatedRoute, tags=["usage"])

CSV = {"schema": {"type": "string"}, "example": "day,dispatches,unpricedDispatches\r\n2026-01-05,12,0\r\n"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes a cell for a formula by (OWASP, "CSV Injection")."""


@router.get("/usage", summary="What dispatches used", responses=errors(400, 404))
async def get(
    query: Annotated[UsageQuery, Query()], caller: MayList, services: Injected, request: Request
) -> Success[UsageReport]:
    """Show tokens, cost and compute of the dispatches that ended in a period, and the budget of the current month.

    A dispatch is counted some seconds after its end. Counters are kept for thirteen months.
    """
    return success(request, await asyncio.to_thread(_report, services, caller, query))


@router.get(
    "/usage.csv",
    summary="What dispatches used, as CSV",
    response_class=Response,
    responses=errors(400, 404)
    | {200: {"description": "A line of names, then a line for each row.", "content": {"text/csv": CSV}}},
)
async def get_csv(query: Annotated[UsageQuery, Query()], caller: MayList, services: Injected) -> Response:
    """Show the rows of `GET /usage` as comma-separated values (RFC 4180), for spreadsheets.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    report = await asyncio.to_thread(_report, services, caller, query)
    name = f"usage-{report.since}-{report.until}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_table(report, query), media_type="text/csv; charset=utf-8", headers=headers)


def _report(services: Services, caller: Principal, query: UsageQuery) -> UsageReport:
    tenant, today = _whose(caller, query), now().date()
    until = query.until or today
    since = query.since or until.replace(day=1)
    _check(query, tenant, since, until, today)
    known = services.tenants.get(tenant) if tenant != ENVIRONMENT else None
    if known is None and tenant != ENVIRONMENT:
        raise not_found("tenant")
    try:
        entries = services.usage.entries(tenant, since, until, query.tag)
    except TooManyCountersError as error:
        raise invalid(("since", f"{error}: ask for a shorter period")) from error
    by = [*query.group_by, *(["tag"] if query.tag else [])]
    total = sum((entry.totals for entry in entries), Totals())
    return UsageReport(
        since=since,
        until=until,
        tenant=tenant,
        rows=[UsageRow.of_entry(entry) for entry in grouped(entries, by)],
        total=UsageFigures.of(total),
        budget=_budget(services, known),
    )


def _whose(caller: Principal, query: UsageQuery) -> str:
    """Return the tenant whose usage is shown. Raises a 403 for another one's, whether it exists or not."""
    if query.tenant in (None, caller.tenant.id):
        return caller.tenant.id
    if caller.tenant.id != OPERATOR or not caller.key.allows(Scope.ADMIN):
        raise ApiError(ErrorCode.AUTHORIZATION_ERROR, "Only an admin key of the operator tenant may name a tenant.")
    return query.tenant or ENVIRONMENT


def _check(query: UsageQuery, tenant: str, since: date, until: date, today: date) -> None:
    """Check what no single field decides. Raises a 400."""
    if until > today:
        raise invalid(("until", f"{until} is after today, {today} (UTC): give that day or an earlier one"))
    if since > until:
        raise invalid(("since", f"{since} is after until, {until}: give an earlier day"))
    if (until - since).days >= MOST_DAYS:
        raise invalid(("since", f"{since} is {(until - since).days} days before until: at most {MOST_DAYS} are kept"))
    if query.tag is not None and tenant == ENVIRONMENT:
        raise invalid(("tag", "tags are counted for each tenant: name one in `tenant`, or leave the tag out"))


def _budget(services: Services, tenant: Tenant | None) -> BudgetView:
    """Return the budget of the month, of the environment where there is no tenant."""
    month, limits = month_of(now()), services.budgets.limits
    spent = services.budgets.month(tenant.id if tenant else ENVIRONMENT, month)
    limit = limits.of_tenant(tenant) if tenant else limits.environment
    committed, charged = to_usd(spent.committed), to_usd(spent.charged)
    return BudgetView(month=month, limit_usd=limit, committed_usd=committed, charged_usd=charged)


def _table(report: UsageReport, query: UsageQuery) -> str:
    fields = csv_fields(query.group_by, query.tag)
    names = {name: field.alias or name for name, field in UsageRow.model_fields.items()}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([names[field] for field in fields])
    for row in report.rows:
        writer.writerow([_cell(getattr(row, field)) for field in fields])
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
