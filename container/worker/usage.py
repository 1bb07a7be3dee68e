"""Counts what the model calls of a run used, from what the provider itself answers."""

import json
import threading
from collections.abc import Mapping
from typing import Any, Literal

from outpost.domain.dispatch import Usage
from outpost.domain.pricing import cost
from outpost.domain.usage import Tokens, compute_seconds, tokens_of
from worker.settings import Identity

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of an answer, or an event in a stream, that is searched for its count; a larger one is passed on uncounted."""


class Meter:
    """Adds up tokens by model; used by many threads."""

    def __init__(self, budget: int | None = None) -> None:
        """`budget`: tokens, in and out, after which no further call is made; None: no limit."""
        self._budget = budget
        self._used: dict[str, Tokens] = {}
        self._lock = threading.Lock()
        self.calls = 0
        self.refused = 0
        """Calls refused because the budget was spent."""
        self.rejections = 0
        """Calls that the provider rejected for their key."""

    def admit(self) -> bool:
        """Say whether a further call may be made."""
        with self._lock:
            spent = self._budget is not None and sum(t.total for t in self._used.values()) >= self._budget
            self.refused += spent
            return not spent

    def add(self, model: str, tokens: Tokens) -> None:
        """Count an answered call."""
        with self._lock:
            self.calls += 1
            self._used[model] = self._used.get(model, Tokens()) + tokens

    @property
    def tokens(self) -> Tokens:
        """All tokens so far."""
        with self._lock:
            return sum(self._used.values(), Tokens())

    @property
    def cost(self) -> float | None:
        """US dollars so far; None when a model without a price was used."""
        with self._lock:
            return cost(self._used)


def usage_of(
    meter: Meter, identity: Identity, ran: float, held: float, capacity: Literal["spot", "on-demand"] | None
) -> Usage:
    """Return what a dispatch took: its agent `ran`, and its worker was `held`, for so many seconds."""
    vcpu, gigabytes = compute_seconds(identity.vcpu, identity.memory_mib, held)
    return Usage(
        duration_seconds=ran,
        input_tokens=meter.tokens.input,
        cached_input_tokens=meter.tokens.cached,
        output_tokens=meter.tokens.output,
        model_calls=meter.calls,
        model_cost_usd=meter.cost,
        vcpu_seconds=vcpu,
        gb_seconds=gigabytes,
        capacity=capacity,
    )


class UsageReader:
    """Finds the provider's count in an answer that passes by: one JSON object, or server-sent events of them."""

    def __init__(self, content_type: str) -> None:
        self._streams = content_type.startswith("text/event-stream")
        self._rest = b""
        self._lost = False
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> None:
        """Read a piece of the answer."""
        self._rest += data
        if self._streams:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                if self._lost:
                    self._lost = False  # the end of the event that was too large
                elif line.startswith(b"data:"):
                    self._read(line[5:])
        if len(self._rest) > MAX_EVENT_BYTES:
            self._rest, self._lost = b"", True

    def finish(self) -> Tokens:
        """Return the count; zero when the answer had none."""
        if not self._lost:
            self._read(self._rest.removeprefix(b"data:"))
        return tokens_of(self._usage)

    def _read(self, text: bytes) -> None:
        # Most events of a stream are pieces of text: only those that may count are parsed.
        if b"sage" not in text:
            return
        try:
            event = json.loads(text)
        except ValueError:
            return
        if isinstance(event, dict):
            self._merge(event)

    def _merge(self, event: Mapping[str, Any]) -> None:
        """Take a count over: later ones of a stream are totals as well, and may leave out what they do not change."""
        for holder in (event, event.get("message"), event.get("response")):
            if not isinstance(holder, dict):
                continue
            found = holder.get("usage") or holder.get("usageMetadata")
            if isinstance(found, dict):
                self._usage.update({name: value for name, value in found.items() if value is not None})
