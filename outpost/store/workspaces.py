"""The rows of persistent workspaces.

A dispatch takes one in the write that accepts it and gives it back in the write that ends it. A new workspace takes one
of its tenant's numbered places in the same transaction, so that creations at the same moment never exceed the quota. A
place whose workspace is gone, deleted or expired, is free: nothing has to be counted down. Before files are written
back, their size is accounted for in a transaction in which only one of a tenant's saves at the same moment succeeds.
"""

from collections.abc import Iterator
from datetime import datetime

from outpost.domain.dispatch import Dispatch
from outpost.domain.workspaces import Place, Quota, Workspace, expiry, room
from outpost.store import keys
from outpost.store.database import (
    ConflictError,
    ContentionError,
    Database,
    Item,
    Write,
    check_write,
    from_attributes,
    put_write,
    to_attributes,
    update_write,
)
from outpost.store.keys import Key

_RACES = 20
"""Saves of the tenant's other workspaces at the same moment, before giving up."""


class WorkspaceInUseError(Exception):
    """A dispatch holds the workspace."""


class Workspaces:
    """The workspaces table: a partition per tenant, so that a list is one consistent query."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, tenant_id: str, workspace_id: str) -> Workspace | None:
        """Read a tenant's workspace, or None."""
        item = self._db.get(self._db.workspaces, *keys.workspace(tenant_id, workspace_id))
        return _decode(item) if item else None

    def all(self, tenant_id: str, before: str | None = None) -> Iterator[Workspace]:
        """Yield a tenant's workspaces, newest first; those older than one when it is named."""
        pk, last = keys.workspace(tenant_id, before or keys.AFTER_IDS)
        items = self._db.query(
            self._db.workspaces,
            "pk = :tenant AND sk < :last",
            {"tenant": pk, "last": last},
            newest_first=True,
            page_size=100,
        )
        yield from map(_decode, items)

    def places(self, tenant_id: str) -> dict[int, str]:
        """Return the id of the latest workspace in each of a tenant's places, whether it is still kept or not."""
        items = self._db.query(self._db.workspaces, "pk = :places", {"places": keys.place(tenant_id).pk})
        return {int(item["sk"]): item["workspace_id"] for item in items}

    def placing(self, workspace: Workspace, place: Place) -> list[Write]:
        """Return the writes of a new workspace in a place. A condition fails when others were quicker to take it."""
        table, tenant_id, free = self._db.workspaces, workspace.tenant_id, "attribute_not_exists(pk)"
        item = to_attributes(keys.place(tenant_id, place.number).item(workspace_id=workspace.id))
        if place.last is None:
            return [self.creating(workspace), put_write(table, item, free)]
        put = put_write(table, item, "workspace_id = :last", last=place.last)
        return [self.creating(workspace), put, check_write(table, keys.workspace(tenant_id, place.last), free)]

    def creating(self, workspace: Workspace) -> Write:
        """Return the write of a new workspace, held from the start by the dispatch that it is made for."""
        # A string set, to which `taking` adds; DynamoDB has no empty ones.
        attributes = workspace.model_dump(mode="json") | {"secrets": workspace.secrets or None}
        item = to_attributes(keys.workspace(workspace.tenant_id, workspace.id).item(**attributes))
        return put_write(self._db.workspaces, item, "attribute_not_exists(pk)")

    def taking(self, row: Dispatch) -> Write:
        """Return the write by which a dispatch takes a known workspace, if it is there and nobody holds it."""
        at = row.created_at
        given = {"secrets": set(row.spec.additional_secrets)} if row.spec.additional_secrets else {}
        return update_write(
            self._db.workspaces,
            _key_of(row),
            "SET dispatch_id = :id, used_at = :now, expires_at = :expiry" + (" ADD secrets :secrets" if given else ""),
            "attribute_not_exists(dispatch_id) AND expires_at > :epoch",
            id=row.id,
            now=at.isoformat(),
            expiry=expiry(at),
            epoch=int(at.timestamp()),
            **given,
        )

    def reserve(self, row: Dispatch, size_bytes: int, quota: Quota) -> int | None:
        """Account for files that the holder is about to write, if the tenant's quota has room for them.

        Returns None, or the bytes that they may take when that is less: then nothing is written. Saves of one tenant
        follow each other, so that those at the same moment do not exceed the quota together. A smaller size counts
        once the files are written (`saved`). Raises `ConflictError` when the dispatch does not hold the workspace, and
        `ContentionError`.
        """
        for _ in range(_RACES):
            saves = self._db.get(self._db.workspaces, *keys.saves(row.tenant_id))
            kept = {workspace.id: workspace for workspace in self.all(row.tenant_id)}
            left = room(kept.values(), quota, row.spec.workspace_id or "")
            if size_bytes > left:
                return left
            own = kept.get(row.spec.workspace_id or "")
            size = max(size_bytes, own.size_bytes) if own else size_bytes
            try:
                self._db.transact([self._sizing(row, size), self._counting_saves(row.tenant_id, saves)])
            except ConflictError as refused:
                if refused.codes[0] == "ConditionalCheckFailed":
                    raise
                continue
            return None
        raise ContentionError(f"tenant {row.tenant_id}: too many workspaces are being saved at this moment")

    def _sizing(self, row: Dispatch, size_bytes: int) -> Write:
        condition = "dispatch_id = :id"
        return update_write(
            self._db.workspaces, _key_of(row), "SET size_bytes = :size", condition, size=size_bytes, id=row.id
        )

    def _counting_saves(self, tenant_id: str, saves: Item | None) -> Write:
        """Return the write that only one of several saves can make that have read the same."""
        count = int(saves["saves"]) if saves else 0
        item = to_attributes(keys.saves(tenant_id).item(saves=count + 1))
        if saves is None:
            return put_write(self._db.workspaces, item, "attribute_not_exists(pk)")
        return put_write(self._db.workspaces, item, "saves = :count", count=count)

    def saved(self, row: Dispatch, size_bytes: int, at: datetime) -> None:
        """Account for the files that the holder wrote back. Raises `ConflictError` when it holds them no more."""
        self._db.update(
            self._db.workspaces,
            *_key_of(row),
            "SET size_bytes = :size, used_at = :now, expires_at = :expiry",
            "dispatch_id = :id",
            size=size_bytes,
            now=at.isoformat(),
            expiry=expiry(at),
            id=row.id,
        )

    def delete(self, workspace: Workspace) -> None:
        """Delete the row of a workspace that nobody holds. Raises `WorkspaceInUseError`.

        Its files then belong to nobody: the reaper follows the table's stream and removes them.
        """
        try:
            self._db.delete(
                self._db.workspaces,
                *keys.workspace(workspace.tenant_id, workspace.id),
                "attribute_not_exists(dispatch_id)",
            )
        except ConflictError as refused:
            raise WorkspaceInUseError(f"workspace {workspace.id} is in use: cancel or await its dispatch") from refused


def giving_back(database: Database, row: Dispatch) -> Write:
    """Return the write by which an ending dispatch gives its workspace back."""
    return update_write(database.workspaces, _key_of(row), "REMOVE dispatch_id", "dispatch_id = :id", id=row.id)


def workspace_of(attributes: Item) -> tuple[str, str]:
    """Return tenant and id of the workspace whose encoded keys a stream record names."""
    return keys.workspace_ids(Key(**from_attributes(attributes)))


def _key_of(row: Dispatch) -> Key:
    return keys.workspace(row.tenant_id, row.spec.workspace_id or "")


def _decode(item: Item) -> Workspace:
    return Workspace.model_validate(item)
