"""/usage: what dispatches used, by day, agent, model and tag."""

import csv
import io
from typing import Annotated

from fastapi import APIRouter, Query, Response

from control_plane.auth import AuthenticatedRoute, MayList
from control_plane.envelope import Success, success
from control_plane.openapi import errors
from control_plane.routes.access import Injected
from control_plane.schemas.usage import UsageQuery, UsageReport, UsageRow, csv_fields

router = APIRouter(route_class=AuthenticatedRoute, tags=["usage"])

CSV = {"schema": {"type": "string"}, "example": "day,dispatches,unpricedDispatches\r\n2026-01-05,12,0\r\n"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes a cell for a formula by (OWASP, "CSV Injection")."""


@router.get("/usage", summary="What dispatches used", responses=errors(400, 404))
async def get(query: Annotated[UsageQuery, Query()], caller: MayList, services: Injected) -> Success[UsageReport]:
    """Show tokens, cost and compute of the dispatches that ended in a period, and the budget of the current month.

    A dispatch is counted some seconds after its end. Counters are kept for thirteen months.
    """
    return success(await services.usage.report(query, caller))


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
    report = await services.usage.report(query, caller)
    name = f"usage-{report.since}-{report.until}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_table(report, query), media_type="text/csv; charset=utf-8", headers=headers)


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
