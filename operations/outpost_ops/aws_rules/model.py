"""Rules over the templates of an environment, and their findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from outpost_ops.templates import Resource, Templates


class Finding(NamedTuple):
    """A property of a resource that AWS would refuse or ignore."""

    resource: Resource
    path: str
    """Property below the resource: `Environment.Variables`; empty for the resource as a whole."""
    value: object
    """What the template has there, or a measure of it: `5,120 bytes`."""
    remedy: str
    """What is allowed, and how to get there."""

    @property
    def text(self) -> str:
        """The finding in a line: place, value, remedy."""
        place = f"{self.resource.place} {self.path}".strip()
        return f"{place}: {self.value}. {self.remedy}"


Check = Callable[[Templates], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One rule: what it demands, where AWS says so, and the function that finds what breaks it."""

    id: str
    source: str
    """Document and date, or the data that it is derived from."""
    check: Check

    @property
    def title(self) -> str:
        """What every template keeps, as a sentence: the docstring of the function."""
        return (self.check.__doc__ or "").removesuffix(".")


def rule(id_: str, source: str) -> Callable[[Check], Rule]:
    """Make a rule of a function, whose docstring is the rule's title."""
    return partial(Rule, id_, source)
