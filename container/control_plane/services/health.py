"""Looking whether what the service needs can be reached: no more often than every ten seconds, whoever asks."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from control_plane.schemas.health import CheckView

logger = structlog.get_logger()

FRESH_SECONDS = 10.0

Probe = Callable[[], str]
"""Returns what was seen. Raises botocore's errors."""


class Probes:
    """The checks behind readiness and health."""

    def __init__(self, probes: Mapping[str, Probe], clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = probes
        self._clock = clock
        self._taken = float("-inf")
        self._checks: dict[str, CheckView] = {}
        self._running = asyncio.Lock()

    async def checks(self) -> dict[str, CheckView]:
        """Return a check by name, at most ten seconds old. However many ask, one looks."""
        async with self._running:
            if self._clock() - self._taken >= FRESH_SECONDS:
                found = await asyncio.gather(*(self._look(name) for name in self._probes))
                self._checks = dict(zip(self._probes, found, strict=True))
                self._taken = self._clock()
            return self._checks

    async def _look(self, name: str) -> CheckView:
        try:
            return CheckView(status="pass", message=await asyncio.to_thread(self._probes[name]))
        except (BotoCoreError, ClientError) as error:
            logger.warning("check failed", check=name, error=type(error).__name__, exc_info=error)
            return CheckView(status="fail", message=f"not reached: {_code(error)}")


def _code(error: BotoCoreError | ClientError) -> str:
    """Name an error without what its text may tell of the account: this is shown to anybody."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
