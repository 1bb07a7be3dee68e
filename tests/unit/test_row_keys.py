"""Formats of keys are spelled in `outpost.store.keys` and nowhere else, and stay as deployed tables have them."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from outpost.store import keys

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "outpost" / "store" / "keys.py"


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file, and the literal parts of its f-strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_other_file_spells_the_format_of_a_key() -> None:
    formats = {found[0] for text in texts(KEYS) if (found := re.match(r"[A-Z]+#", text))}
    assert {"DISPATCH#", "LEASE#", "SLOT#", "WORKSPACE#"} < formats
    others = (
        path for root in ("outpost", "lambda", "container") for path in (ROOT / root).rglob("*.py") if path != KEYS
    )
    spelled = [(path.name, text) for path in others for text in texts(path) if text.startswith(tuple(formats))]
    assert spelled == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (keys.row("d"), ("DISPATCH#d", "DISPATCH")),
        (keys.details("d", "f00"), ("DISPATCH#d", "DETAILS#f00")),
        (keys.task("d"), ("DISPATCH#d", "TASK")),
        (keys.counted("d"), ("DISPATCH#d", "COUNTED")),
        (keys.idempotency("t", "k"), ("IDEMPOTENCY#t#k", "IDEMPOTENCY")),
        (keys.day("t", datetime(2026, 11, 28, tzinfo=UTC), 3), ("DAY#t#2026-11-28", "03")),
        (keys.month("t", "2026-11"), ("MONTH#t#2026-11", "TOTAL")),
        (keys.usage("t", "2026-11"), "USAGE#t#2026-11"),
        (keys.usage("t", "2026-11", "team"), "TAG#t#2026-11#team"),
        (keys.counter(3, "claude", None), "03#claude#"),
        (keys.counter(3, "claude", "m", tenant_id="t"), "03#claude#m#t"),
        (keys.tenant("t"), ("TENANT#t", "TENANT")),
        (keys.api_key("h"), ("KEY#h", "KEY")),
        (keys.rate("h", 60), ("RATE#h", "60")),
        (keys.secret("t", "N"), ("SECRETS#t", "N")),
        (keys.link("l"), ("LINK#l", "LINK")),
        (keys.PLANNER_LOCK, ("LEASE#planner", "LEASE")),
        (keys.LAUNCH_RATE, ("LEASE#planner", "RATE")),
        (keys.DEMAND_CURSOR, ("LEASE#planner", "CURSOR")),
        (keys.RECONCILER_STATE, ("SWEEP", "STATE")),
        (keys.worker(Agent.CLAUDE, "w"), ("WORKERS#claude", "w")),
        (keys.ended_worker("w"), ("ENDED#w", "WORKER")),
        (keys.slot("t", 7), ("TENANT#t", "SLOT#007")),
        (keys.intent(Agent.CLAUDE, "b"), ("INTENT#claude", "b")),
        (keys.launch_failure(Agent.CLAUDE), ("INTENT#claude", "~failure")),
        (keys.heartbeats(2), ("SWEEP", "OBSERVATIONS#0002")),
        (keys.queue_entry(Agent.CLAUDE, "t", "d"), ("QUEUE#claude", "t#d")),
        (keys.turn(Agent.CLAUDE), ("TURN#claude", "TURN")),
        (keys.workspace("t", "w"), ("TENANT#t", "WORKSPACE#w")),
        (keys.place("t", 4), ("PLACES#t", "004")),
        (keys.saves("t"), ("SAVES#t", "SAVES")),
    ],
)
def test_keys_are_those_of_the_items_in_deployed_tables(key: object, expected: object) -> None:
    assert key == expected
