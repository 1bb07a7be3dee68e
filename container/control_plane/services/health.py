"""Checks whether what the service needs can be reached: every ten seconds at most, however many requests ask."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from control_plane.errors import unavailable
from control_plane.schemas.health import CheckView, HealthView
from control_plane.settings import Stores
from outpost.store import keys

logger = structlog.get_logger()

FRESH_SECONDS = 10.0
NEEDED = ("dynamodb", "s3", "efs")
"""Without these no request can be served well; a worker pool that fails only makes dispatches wait."""

Probe = Callable[[], str]
"""Returns what was seen. Raises botocore's errors."""


class Probes:
    """The checks behind readiness and health."""

    def __init__(self, probes: Mapping[str, Probe], clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = probes
        self._clock = clock
        self._started = clock()
        self._taken = float("-inf")
        self._checks: dict[str, CheckView] = {}
        self._running = asyncio.Lock()

    async def ready(self) -> dict[str, CheckView]:
        """Return the checks of what every request needs. Raises `ApiError`: 503 when one fails."""
        checks = await self._current()
        if failed := [f"{name} {checks[name].message}" for name in NEEDED if checks[name].status == "fail"]:
            raise unavailable(f"Not ready: {'; '.join(failed)}.")
        return {name: checks[name] for name in NEEDED}

    async def health(self, version: str) -> HealthView:
        """Return all checks, at most ten seconds old, and the worst of them."""
        checks = await self._current()
        failed = {name for name, check in checks.items() if check.status == "fail"}
        status = "unhealthy" if failed.intersection(NEEDED) else "degraded" if failed else "healthy"
        return HealthView(status=status, version=version, uptime=int(self._clock() - self._started), checks=checks)

    async def _current(self) -> dict[str, CheckView]:
        async with self._running:
            if self._clock() - self._taken >= FRESH_SECONDS:
                found = await asyncio.gather(*(self._check(name) for name in self._probes))
                self._checks = dict(zip(self._probes, found, strict=True))
                self._taken = self._clock()
            return self._checks

    async def _check(self, name: str) -> CheckView:
        try:
            return CheckView(status="pass", message=await asyncio.to_thread(self._probes[name]))
        except (BotoCoreError, ClientError) as error:
            logger.warning("check failed", check=name, error=type(error).__name__, exc_info=error)
            return CheckView(status="fail", message=f"not reached: {_code(error)}")


def _code(error: BotoCoreError | ClientError) -> str:
    """Return the name of an error, without its text, which may name the account: this is shown to anybody."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def probes_of(stores: Stores) -> dict[str, Probe]:
    """Return a probe for each thing that the service needs."""
    database = stores.database

    def reach_database() -> str:
        database.get(database.dispatches, "PROBE", "PROBE")
        return "dispatches table responds"

    def reach_workers() -> str:
        lease = database.get(database.workers, *keys.PLANNER_LOCK)
        return "planner has run" if lease else "workers table responds; planner has not run yet"

    def reach_bucket() -> str:
        stores.artifacts.reach()
        return "artifacts bucket responds"

    def reach_files() -> str:
        found = stores.file_systems.describe_file_systems(FileSystemId=stores.file_system_id)["FileSystems"]
        return f"file system is {found[0]['LifeCycleState']}"

    return {"dynamodb": reach_database, "s3": reach_bucket, "efs": reach_files, "worker-pool": reach_workers}
