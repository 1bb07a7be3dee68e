"""What a live check of a control finds, piece by piece, until it can be evaluated."""

from dataclasses import dataclass, field
from itertools import chain

from outpost.report import Check
from outpost_ops.controls.catalogue import Control


@dataclass
class Evidence:
    """Findings of one control. One that is broken fails it; without any, or with one unknown, nothing is known."""

    control: Control
    _found: list[tuple[bool | None, str]] = field(default_factory=list)

    def demand(self, what: str, holds: bool) -> None:
        """Note a demand and whether it holds."""
        self.note(what if holds else f"not so: {what}", holds)

    def note(self, what: str, holds: bool | None = True) -> None:
        """Note something that is as it should be, that breaks the control (False), or that is not known yet (None)."""
        self._found.append((holds, what))

    def check(self) -> Check:
        """Return the judgement; what breaks the control is named first."""
        found = [[what for each, what in self._found if each is holds] for holds in (False, None, True)]
        broken, unknown, _ = found
        holds = False if broken else None if unknown else True
        return Check.of(self.control, self.control.demand, holds, chain(*found), self.control.remedy)
