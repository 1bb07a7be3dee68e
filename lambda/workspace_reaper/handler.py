"""The reaper's Lambda: on the workspaces' stream (a deleted row's files go at once) and on a schedule (sure).

Invoked by hand with `{"dryRun": true}` it names what it would remove, and removes nothing.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.ids import now
from outpost.fleet.store import Store
from outpost.names import Env
from outpost.store.workspaces import workspace_of
from workspace_reaper.reaper import Find, Reaper

logger = Logger(service="workspace_reaper")


@cache
def _reaper() -> Reaper:
    return Reaper(Store.from_environment().workspaces, Path(os.environ[Env.WORKSPACES_PATH]), now)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Remove files; return what was found. Errors surface: the stream repeats its records, the hour comes again."""
    dry_run = event.get("dryRun", False) is not False
    if "Records" in event:
        names = [workspace_of(record["dynamodb"]["Keys"]) for record in event["Records"]]
        found = [find for name in names if (find := _reaper().follow(*name))]
    else:
        found = _reaper().reap(dry_run=dry_run)
    response = {"dryRun": dry_run, "bytes": sum(find.size_bytes for find in found), "found": [*map(_shown, found)]}
    logger.info("done", extra=response)
    return response


def _shown(find: Find) -> dict[str, object]:
    return {
        "tenant": find.tenant_id,
        "workspace": find.workspace_id,
        "why": find.why,
        "bytes": find.size_bytes,
        "files": [file.name for file in find.files],
    }
