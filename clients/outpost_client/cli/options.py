"""The arguments and options that several commands take."""

import math
from typing import Annotated

import typer


def parse_dollars(text: str) -> float:
    """Return an amount in US dollars. Raises `typer.BadParameter` for what is no finite number."""
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        raise typer.BadParameter(f"{text!r} is no amount of US dollars, such as 2.50")
    return amount


def parse_tags(pairs: list[str] | None) -> dict[str, str] | None:
    """Return the tags of `KEY:VALUE` options. Raises `typer.BadParameter`."""
    split = [pair.partition(":") for pair in pairs or []]
    for key, colon, _ in split:
        if not (key and colon):
            raise typer.BadParameter(f"{key!r} is not KEY:VALUE, for example --tag team:payments")
    keys = [key for key, _, _ in split]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise typer.BadParameter(f"--tag gives {twice!r} {keys.count(twice)} values: a tag has one")
    return {key: value for key, _, value in split} or None


Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a dispatch")]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="Id of a tenant")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show states and log until it has ended")]
Cursor = Annotated[str | None, typer.Option(help="Continue where the last page ended")]


def dollars(help_: str, *names: str) -> typer.models.OptionInfo:
    """Return an option that takes an amount in US dollars."""
    option: typer.models.OptionInfo = typer.Option(*names, parser=parse_dollars, metavar="USD", help=help_)
    return option
