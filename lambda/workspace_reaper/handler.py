"""Removes the files of workspaces that are gone: the row is the truth, the files follow.

Runs on the workspaces' stream (a deleted row's files go at once) and on a schedule (sure). Invoked by hand with
`{"dryRun": true}` it names what it would remove, and removes nothing.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.ids import is_id, now
from outpost.fleet.store import Store
from outpost.names import Env
from outpost.store.workspaces import WorkspaceInUseError, Workspaces, workspace_of

logger = Logger(service="workspace_reaper")

Why = Literal["deleted", "expired", "orphaned", "abandoned"]
SETTLING = timedelta(days=1)
"""Files without a row, and parts that no worker finished, must be this old: nothing that runs takes as long."""


@dataclass(frozen=True)
class Find:
    """Files that nobody can use any more."""

    tenant_id: str
    workspace_id: str
    why: Why
    size_bytes: int
    files: tuple[Path, ...] = field(repr=False)


@dataclass(frozen=True)
class Reaper:
    """Looks through the file system's folders, one for each tenant."""

    workspaces: Workspaces
    root: Path
    now: Callable[[], datetime]

    def follow(self, tenant_id: str, workspace_id: str) -> Find | None:
        """Remove the files of a workspace whose row was deleted, unless the row is there after all."""
        if not is_id(workspace_id) or self.workspaces.get(tenant_id, workspace_id):
            return None
        found = self._find(tenant_id, workspace_id, "deleted", self._files(tenant_id).get(workspace_id, []))
        self._remove(found)
        return found

    def reap(self, *, dry_run: bool) -> list[Find]:
        """Remove, or only name, what is expired, what has no row, and what a dead worker left half-written."""
        found: list[Find] = []
        for folder in sorted(self.root.iterdir()):
            for workspace_id, files in sorted(self._files(folder.name).items()):
                found += self._finds_of(folder.name, workspace_id, files)
        for find in found:
            if not dry_run and self._released(find):
                self._remove(find)
        return found

    def _finds_of(self, tenant_id: str, workspace_id: str, files: list[Path]) -> Iterator[Find]:
        row = self.workspaces.get(tenant_id, workspace_id)
        if row is None:
            if all(self._settled(file) for file in files):
                yield self._find(tenant_id, workspace_id, "orphaned", files)
        elif row.dispatch_id is None and row.expires_at <= self.now().timestamp():
            yield self._find(tenant_id, workspace_id, "expired", files)
        elif parts := [file for file in files if file.suffix == ".tmp" and self._settled(file)]:
            yield self._find(tenant_id, workspace_id, "abandoned", parts)

    def _released(self, find: Find) -> bool:
        """Delete the row of an expired workspace first; a dispatch that was quicker keeps it."""
        row = self.workspaces.get(find.tenant_id, find.workspace_id) if find.why == "expired" else None
        if row is None:
            return True
        if row.expires_at > self.now().timestamp():
            return False
        try:
            self.workspaces.delete(row)
        except WorkspaceInUseError:
            return False
        return True

    def _files(self, tenant_id: str) -> dict[str, list[Path]]:
        """Return a tenant's files by workspace; what has another form of name is not ours to touch."""
        files: dict[str, list[Path]] = defaultdict(list)
        folder = self.root / tenant_id
        for file in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
            workspace_id = file.name.partition(".")[0]
            if is_id(workspace_id) and file.is_file() and not file.is_symlink():
                files[workspace_id].append(file)
        return files

    def _find(self, tenant_id: str, workspace_id: str, why: Why, files: list[Path]) -> Find:
        return Find(tenant_id, workspace_id, why, sum(file.stat().st_size for file in files), tuple(files))

    def _settled(self, file: Path) -> bool:
        return self.now().timestamp() - file.stat().st_mtime >= SETTLING.total_seconds()

    @staticmethod
    def _remove(find: Find) -> None:
        for file in find.files:
            file.unlink(missing_ok=True)
        logger.info("removed", extra={"tenant": find.tenant_id, "workspace": find.workspace_id, "why": find.why})


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
