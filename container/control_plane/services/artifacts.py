"""Artifacts of dispatches, and the links that open each once without an API key (docs/adr/0016-artifact-links.md)."""

import asyncio
from datetime import datetime
from typing import NamedTuple

from control_plane.errors import ApiError, ErrorCode
from control_plane.settings import Stores
from control_plane.signing import BadTokenError, Json, Signer
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.store.artifacts import Stored
from outpost.store.tenants import Links

PRESIGNED_SECONDS = 60


class Grant(NamedTuple):
    """The right to open one artifact once."""

    id: str
    tenant_id: str
    key: str
    """Of the object in the bucket."""
    until: int
    """Epoch seconds."""


class ArtifactService:
    """Lists artifacts, and makes and opens links to them."""

    def __init__(self, stores: Stores, signer: Signer) -> None:
        self._artifacts = stores.artifacts
        self._links = Links(stores.database)
        self._signer = signer

    async def listing(self, row: Dispatch) -> list[Stored]:
        """Return the artifacts of the winning attempt; of a live dispatch, of its current attempt."""
        return await asyncio.to_thread(self._artifacts.listing, row) if row.attempt else []

    def token(self, row: Dispatch, name: str, until: datetime) -> str:
        """Return a new token that opens an artifact once."""
        grant: Json = {"id": new_id(), "tenant": row.tenant_id, "attempt": row.attempt, "name": name}
        return self._signer.seal("artifact", (row.id,), grant | {"until": int(until.timestamp())})

    def grant(self, dispatch_id: str, token: str) -> Grant:
        """Return what a token grants. Raises `ApiError`: 401 when it is damaged, of another dispatch, or has ended."""
        try:
            grant = self._signer.open("artifact", (dispatch_id,), token)
        except BadTokenError as error:
            raise _dead("The link is damaged, or its token belongs to another dispatch") from error
        until, tenant_id = int(grant["until"]), str(grant["tenant"])
        if until <= now().timestamp():
            raise _dead("The link has ended")
        key = attempt_prefix(tenant_id, dispatch_id, int(grant["attempt"])) + str(grant["name"])
        return Grant(str(grant["id"]), tenant_id, key, until)

    async def open(self, grant: Grant) -> str:
        """Return the URL of an artifact in storage, for 60 seconds. Raises `ApiError`: 401 from the second time on."""
        url = await asyncio.to_thread(self._artifacts.presign, grant.key, PRESIGNED_SECONDS)
        if not await asyncio.to_thread(self._links.open, grant.id, grant.until):
            raise _dead("The link was opened before")
        return url


def _dead(why: str) -> ApiError:
    return ApiError(ErrorCode.AUTHENTICATION_ERROR, f"{why}: list the artifacts again for a new one.")
