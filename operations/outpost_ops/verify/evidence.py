"""What a live check of a control finds, piece by piece, until it can be evaluated."""

from dataclasses import dataclass, field

from outpost.report import Check
from outpost_ops.controls.catalogue import Control


@dataclass
class Evidence:
    """Findings of one control. One that is broken fails it; without any, or with one unknown, nothing is known."""

    control: Control
    _kept: list[str] = field(default_factory=list)
    _broken: list[str] = field(default_factory=list)
    _unknown: list[str] = field(default_factory=list)

    def demand(self, what: str, holds: bool) -> None:
        """Note a demand and whether it holds."""
        (self._kept if holds else self._broken).append(what if holds else f"not so: {what}")

    def seen(self, what: str) -> None:
        """Note something that is as it should be."""
        self._kept.append(what)

    def broken(self, what: str) -> None:
        """Note something that breaks the control."""
        self._broken.append(what)

    def unknown(self, what: str) -> None:
        """Note something that is not known yet."""
        self._unknown.append(what)

    def check(self) -> Check:
        """Return the judgement; what breaks the control is named first."""
        holds = False if self._broken else None if self._unknown else True
        found = [*self._broken, *self._unknown, *self._kept]
        return Check.of(self.control, self.control.demand, holds, found, self.control.remedy)
