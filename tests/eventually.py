"""Waiting for what another process does."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, within: float = 60, what: str = "what was awaited") -> Found:
    """Look until what is found is true, for at most `within` seconds; then fail, saying what was awaited."""
    found: Found | None = Retrying(
        stop=stop_after_delay(within),
        wait=wait_fixed(0.2),
        retry=retry_if_result(lambda result: not result),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )(look)
    assert found, f"{what}: not within {within:.0f} s"
    return found
