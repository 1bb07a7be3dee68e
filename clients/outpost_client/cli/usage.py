"""`outpost usage`: what dispatches used, by day, agent, model and tag."""

from collections.abc import Sequence
from typing import Annotated

import typer

from outpost_client.cli.connection import connect
from outpost_client.cli.options import Json
from outpost_client.cli.output import err, out, print_json, print_table, print_text, printable
from outpost_client.models import MonthlyBudget, Usage, UsageFigures, UsageRow

_GROUPS = ("day", "tenant", "agent", "model", "tag")
_FIGURES = ("DISPATCHES", "INPUT", "CACHED", "OUTPUT", "CALLS", "USD", "AGENT h", "vCPU h", "GB h")
_HOUR = 3_600


def usage(
    context: typer.Context,
    *,
    since: Annotated[str | None, typer.Option(help="First day (UTC), YYYY-MM-DD; first of the last's month")] = None,
    until: Annotated[str | None, typer.Option(help="Last day (UTC), included; today")] = None,
    by: Annotated[list[str] | None, typer.Option(help="day, agent, model, tenant; repeatable; day")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Only with this tag, a row for each value")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Operator: another tenant, or * for all")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values")] = False,
    as_json: Json = False,
) -> None:
    """Show tokens, cost and compute of the dispatches that have ended, and what is left of the month's budget."""
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json name two formats: give one of the two")
    if tag is not None and len(tag) > 1:
        raise typer.BadParameter(f"--tag is given {len(tag)} times: the rows are for the values of one tag")
    query = {"since": since, "until": until, "groupBy": by, "tag": tag, "tenant": tenant}
    with connect(context) as client:
        if as_csv:
            print_text(client.usage_csv(query))
            return
        found = client.usage(query)
        print_json(found) if as_json else _show(found, [*(by or ["day"]), *(["tag"] if tag else [])])


def _show(usage: Usage, by: Sequence[str]) -> None:
    groups = [name for name in _GROUPS if name in by]
    rows = [(*(_label(row, name) for name in groups), *_figures(row)) for row in usage.rows]
    total = (("TOTAL", *("" for _ in groups[1:])) if groups else ()) + _figures(usage.total)
    print_table(*(name.upper() for name in groups), *_FIGURES, rows=[*rows, total])
    if usage.total.unpriced_dispatches:
        err.print(f"The cost of {usage.total.unpriced_dispatches} dispatches is not known: a model has no price.")
    out.print(_budget(usage.budget))


def _label(row: UsageRow, name: str) -> str:
    value = getattr(row, name)
    return "-" if value is None else printable(str(value))


def _figures(figures: UsageFigures) -> tuple[str, ...]:
    tokens = (figures.input_tokens, figures.cached_input_tokens, figures.output_tokens, figures.model_calls)
    hours = (figures.duration_seconds, figures.vcpu_seconds, figures.gb_seconds)
    return (
        f"{figures.dispatches:,}",
        *(f"{count:,}" for count in tokens),
        _cost(figures),
        *(f"{seconds / _HOUR:,.2f}" for seconds in hours),
    )


def _cost(figures: UsageFigures) -> str:
    """Return the cost in US dollars, and whether there is more that nobody knows."""
    known = f"{figures.cost_usd:,.4f}"
    if not figures.unpriced_dispatches:
        return known
    return f"{known} + unknown" if figures.cost_usd else "unknown"


def _budget(budget: MonthlyBudget) -> str:
    used = f"{budget.month}: {budget.committed_usd:,.2f} USD of model calls are spent or reserved"
    if budget.limit_usd is None:
        return f"{used}; there is no budget."
    left = max(budget.limit_usd - budget.committed_usd, 0)
    return f"{used} of a budget of {budget.limit_usd:,.2f} USD; {left:,.2f} USD are left."
