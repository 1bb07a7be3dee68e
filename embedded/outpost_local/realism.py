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
    transaction_seconds: float = 0.005
    """How long a transaction of DynamoDB holds its items."""
    transaction_conflicts: float = 0.01
    """The share of DynamoDB's writes and transactions that conflict without cause."""
    throttles: float = 0.002
    """The share of DynamoDB's requests that are throttled, and of its batches that are left in part."""
    table_update_seconds: float = 0.5
    """How long a table is UPDATING after an UpdateTable."""
    stream_readers: int = 2
    """How many event source mappings may read a stream of DynamoDB; 0 is any number."""
    object_conflicts: float = 0.01
    """The share of S3's conditional writes that conflict."""
    duplicates: float = 0.02
    """The share of SQS messages, events and asynchronous invocations that are delivered twice."""
    late_deliveries: float = 0.05
    """The share of them that are delivered late, after others that were sent later."""
    delivery_lag: float = 1.0
    """The longest that a late or second delivery takes."""
    partial_receives: float = 0.05
    """The share of receives from SQS that return one message, or none when they do not wait."""
    task_lag: float = 2.0
    """The longest that a new ECS task is missing from lists: half of them for less than 1/16 of it."""
    function_concurrency: int = 0
    """How many functions may run at once; 0 is 10 in a new account, else what the machine bears."""
    new_account: bool = False
    """Whether the account is on its first day: the lowest quotas and no service-linked role."""

    @classmethod
    def none(cls) -> Self:
        """Return what neither lags nor fails: for benchmarks."""
        zeros: dict[str, Any] = {field.name: type(getattr(cls, field.name))() for field in fields(cls)}
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
