"""Report which entries of models.toml are to be checked again: `python -m tools.models_age`.

Exit code: 0 none, 3 some, which standard output lists. `.github/workflows/models.yml` makes an issue of them.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import date

from outpost.domain.models import Model, models
from outpost_ops.config.models import today

MOST_DAYS = 30
STALE = 3
_HEAD = """\
These entries of `outpost/domain/models.toml` were last compared with their sources more than {days} days ago.
docs/operations.md, "Renew the models", says how to check and change them.
"""


def stale(entries: Iterable[Model], day: date) -> Iterator[Model]:
    """Yield the entries that were checked more than 30 days before a day; of retired models nothing changes."""
    for model in entries:
        retired = model.retires is not None and model.retires <= day
        if not retired and (day - model.checked).days > MOST_DAYS:
            yield model


def report(entries: Iterable[Model]) -> str:
    """Return a list of entries, in Markdown."""
    lines = (f"- {each.provider} `{each.id}`, checked {each.checked}: {each.source}" for each in entries)
    return "\n".join([_HEAD.format(days=MOST_DAYS), *lines])


if __name__ == "__main__":
    if found := list(stale(models(), today())):
        print(report(found))
        sys.exit(STALE)
