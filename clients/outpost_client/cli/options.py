"""The arguments and options that several commands take, and how those of all are named in the API's errors."""

import math
import re
from collections.abc import Iterator
from typing import Annotated

import typer

from outpost_client.errors import ApiError, Detail


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


OPTION_OF_FIELD = {
    "additionalSecrets": "--secret",
    "context": "--context",
    "createPr": "--pr",
    "expiresAt": "--days",
    "groupBy": "--by",
    "modelId": "--model",
    "overlapSeconds": "--overlap",
    "prBody": "--body",
    "prTitle": "--title",
    "providers": "--provider",
    "queueTimeoutSeconds": "--queue-timeout",
    "repositories": "--repository",
    "requestsPerMinute": "--requests",
    "scopes": "--scope",
    "secrets": "--secret",
    "tags": "--tag",
    "timeoutSeconds": "--timeout",
    "workspaceId": "--workspace",
}
"""Field of the API -> the option for it, where the option is not the same name with dashes."""


def with_cli_names(error: ApiError, context: typer.Context) -> ApiError:
    """Return an error of the API with the fields named as the command's options and arguments."""
    names = dict(_names(context))

    def respell(text: str) -> str:
        return re.sub(r"\b[a-z]+([A-Z][a-z]+)+\b", lambda match: names.get(match[0], match[0]), text)

    details = [Detail(_option(each.field, names), respell(each.message)) for each in error.details]
    message = f"{details[0].field}: {details[0].message}" if len(details) == 1 else respell(error.message)
    return ApiError(error.code, message, details, error.request_id, error.retry_after)


def _names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield the API's name and the command's name of each of its options and arguments."""
    options = set()
    for parameter in context.command.params:
        option = next((name for name in parameter.opts if name.startswith("--")), None)
        options.add(option)
        first, *rest = (option or str(parameter.name)).removeprefix("--").replace("-", "_").split("_")
        shown = option or parameter.metavar or first.upper()
        yield "".join([first, *(word.capitalize() for word in rest)]), shown
    yield from ((field, option) for field, option in OPTION_OF_FIELD.items() if option in options)


def _option(field: str, names: dict[str, str]) -> str:
    """Return the option of a field: of one within an object, or an entry of a list, too."""
    name, *path = field.removeprefix("limits.").split(".")
    return " ".join([names.get(name, name), *(part for part in path if not part.isdecimal())])
