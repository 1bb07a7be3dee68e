"""`outpost cost`: what an idle environment costs a month."""

from typing import Annotated

import typer
from rich.text import Text

from outpost_client.cli.output import out, print_json, print_table
from outpost_ops.cli.checks import explained
from outpost_ops.cli.controls import CONFIG, Environment
from outpost_ops.cli.synthesis import synthesized
from outpost_ops.config import load
from outpost_ops.cost.estimate import Estimate, choices, estimate, warm_workers


def cost(
    environment: Environment = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of tables")] = False,
) -> None:
    """Estimate what an idle environment costs a month, from its templates and the price table; needs no account."""
    with explained():
        config = load(CONFIG / f"{environment}.toml")
        found = estimate(synthesized(environment).templates, warm_workers(config))
    if as_json:
        print_json({**found.model_dump(mode="json"), "choices": choices(config)})
        return
    _show(found, config.cost.ceiling)
    print_table("WHAT A CHOICE COSTS", "USD A MONTH", rows=[(text, _usd(usd)) for text, usd in choices(config).items()])


def _show(found: Estimate, ceiling: int) -> None:
    lines = [(line.resource, line.what, _usd(line.usd)) for line in [*found.lines, *found.always_free]]
    print_table("RESOURCE", "WHAT", "USD A MONTH", rows=lines)
    out.print()
    print_table("PAID BY USE", "RESOURCES", "USD", rows=[(use.type, str(use.count), use.prices) for use in found.usage])
    out.print()
    for unknown in found.unknown:
        out.print(Text(f"Unknown, not in the total: {unknown}", style="yellow"))
    without = f", {found.total - found.waf:.2f} without WAF" if found.waf else ""
    style = "bold red" if found.total > ceiling else "bold green"
    out.print(Text(f"{found.environment} idle: {found.total:.2f} USD a month{without}; ceiling {ceiling}", style=style))
    out.print(Text(f"{found.after_allowances:.2f} after what AWS gives every account for good (the negative lines)"))
    out.print(
        Text(f"List prices of {found.prices_of}, sources in operations/outpost_ops/cost/prices.toml\n", style="dim")
    )


def _usd(value: float) -> str:
    return f"{value:10.2f}"
