"""The API's names of fields, in errors, as the command line has them: options and arguments."""

import re
from collections.abc import Iterator

import typer

from outpost_client.errors import ApiError, Detail

OPTIONS = {
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
    yield from ((field, option) for field, option in OPTIONS.items() if option in options)


def _option(field: str, names: dict[str, str]) -> str:
    """Return the option of a field: of one within an object, or an entry of a list, too."""
    name, *path = field.removeprefix("limits.").split(".")
    return " ".join([names.get(name, name), *(part for part in path if not part.isdecimal())])
