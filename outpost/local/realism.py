"""How the embedded AWS lags and fails where AWS does: see docs/embedded-aws.md.

`OUTPOST_REALISM` changes single fields, as JSON: `OUTPOST_REALISM='{"index_lag": 0, "seed": 7}'`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any, Self

VARIABLE = "OUTPOST_REALISM"


@dataclass(frozen=True)
class Realism:
    """Lags in seconds and probabilities from 0 to 1; the same seed draws the same numbers."""

    seed: int = 0
    index_lag: float = 2.0
    """The longest that a global secondary index follows its table: half of the writes take less than 1/16 of it."""
    index_lag_least: float = 0.0
    """The shortest; equal to `index_lag`, every write takes exactly that long."""
    new_account: bool = False
    """Whether the account is on its first day: the lowest quotas and no service-linked role."""

    @classmethod
    def none(cls) -> Self:
        """Return what neither lags nor fails: for benchmarks."""
        zeros: dict[str, Any] = {field.name: 0 for field in fields(cls)}
        return cls(**zeros)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the default with the changes of `OUTPOST_REALISM`.

        Raises ValueError for anything but a JSON object of these fields.
        """
        text = environ.get(VARIABLE) or "{}"
        try:
            return replace(cls(), **json.loads(text))
        except (TypeError, ValueError) as error:
            known = ", ".join(field.name for field in fields(cls))
            raise ValueError(f"{VARIABLE} is {text!r}: set it to a JSON object with fields of {known}") from error

    def environment(self) -> dict[str, str]:
        """Return the variable that gives these values to a process."""
        return {VARIABLE: json.dumps(asdict(self))}

    def random(self, purpose: str) -> Random:
        """Return the numbers of one purpose: what another draws does not change them."""
        return Random(f"{self.seed} {purpose}")  # noqa: S311 - nothing secret
