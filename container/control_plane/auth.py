"""Authentication (401) and authorisation (403) of callers."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from cachetools import TTLCache
from fastapi import Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer, SecurityScopes
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from control_plane.errors import ApiError, ErrorCode, not_found
from control_plane.openapi import TenantId
from control_plane.rate_limit import RateLimiter, exceeded
from control_plane.threads import calling_tenant
from control_plane.turns import Turns
from outpost.domain.ids import now
from outpost.domain.tenants import KEY_PATTERN, OPERATOR, ApiKey, Scope, Tenant, hash_key
from outpost.store.tenants import Tenants

CACHE_SECONDS = 25
"""A suspension or revocation takes effect within 30 s on every replica: the look-up itself takes some of them."""
CACHE_ENTRIES = 10_000
USE_NOTED = timedelta(minutes=5)
"""A key's last use is written down when the one that is written down is older than this."""


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    tenant: Tenant
    key: ApiKey


class Authenticator:
    """Finds the principal of a request.

    Look-ups are cached. Unknown keys have a cache of their own, so that a flood of them evicts nobody. The caches are
    touched on the event loop only.
    """

    def __init__(self, tenants: Tenants, clock: Callable[[], float] = time.monotonic) -> None:
        self._tenants = tenants
        self._known: TTLCache[str, Principal] = TTLCache(CACHE_ENTRIES, CACHE_SECONDS, clock)
        self._unknown: TTLCache[str, bool] = TTLCache(CACHE_ENTRIES, CACHE_SECONDS, clock)
        self._active: TTLCache[str, bool] = TTLCache(CACHE_ENTRIES, CACHE_SECONDS, clock)
        self._reads: dict[str, asyncio.Task[Principal | None]] = {}

    async def authenticate(self, headers: Headers) -> Principal:
        """Return the caller that holds the request's key. Raises `ApiError`: 401, or 403 for a suspended tenant."""
        principal = await self._find(hash_key(_credential(headers)))
        if principal is None or not principal.key.usable(now()):
            raise _unauthenticated("The API key is unknown, revoked or expired: ask the operator for another.")
        if principal.tenant.status != "active":
            raise suspended(principal.tenant.id)
        return principal

    async def is_active(self, tenant_id: str) -> bool:
        """Return whether a tenant exists and is active, at most 25 seconds late."""
        active = self._active.get(tenant_id)
        if active is None:
            tenant = await asyncio.to_thread(self._tenants.get, tenant_id)
            active = self._active[tenant_id] = tenant is not None and tenant.status == "active"
        return active

    def forget(self) -> None:
        """Drop what is cached, after a change made here: this replica then enforces it at once."""
        for cache in (self._known, self._unknown, self._active):
            cache.clear()

    async def _find(self, sha256: str) -> Principal | None:
        known = self._known.get(sha256)
        if known is not None or sha256 in self._unknown:
            return known
        if sha256 not in self._reads:
            self._reads[sha256] = asyncio.create_task(self._look_up(sha256))
        # A request that is given up must not end the look-up that others wait for.
        return await asyncio.shield(self._reads[sha256])

    async def _look_up(self, sha256: str) -> Principal | None:
        try:
            found = await asyncio.to_thread(self._read, sha256)
        finally:
            del self._reads[sha256]
        if found is None:
            self._unknown[sha256] = True
        else:
            self._known[sha256] = found
        return found

    def _read(self, sha256: str) -> Principal | None:
        key = self._tenants.find_key(sha256)
        tenant = self._tenants.get(key.tenant_id) if key else None
        if key is None or tenant is None:
            return None
        at = now()
        if key.usable(at) and (key.last_used_at is None or at - key.last_used_at >= USE_NOTED):
            self._tenants.touch_key(sha256, at)
        return Principal(tenant, key)


def _credential(headers: Headers) -> str:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    text = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if not text:
        raise _unauthenticated("An API key is needed: send it as X-API-Key, or as Authorization: Bearer.")
    if KEY_PATTERN.fullmatch(text) is None:
        raise _unauthenticated("The API key is malformed: it is otp_ and 64 hexadecimal digits.")
    return text


def _unauthenticated(message: str) -> ApiError:
    return ApiError(ErrorCode.AUTHENTICATION_ERROR, message, headers={"WWW-Authenticate": "Bearer"})


def suspended(tenant_id: str) -> ApiError:
    """Return the refusal of anything done in the name of a suspended tenant."""
    return ApiError(ErrorCode.AUTHORIZATION_ERROR, f"Tenant {tenant_id} is suspended: ask the operator.")


async def identify(request: Request) -> None:
    """Authenticate the caller and count the request, unless it is part of one that was counted. Raises `ApiError`."""
    authenticator: Authenticator = request.app.state.services.authenticator
    limiter: RateLimiter = request.app.state.services.limiter
    caller = request.state.principal = await authenticator.authenticate(request.headers)
    calling_tenant.set(caller.tenant.id)
    if getattr(request.state, "counted", False):
        return
    limit = caller.tenant.limits.requests_per_minute
    request.state.allowance, request.state.counted = await limiter.take(caller.key.sha256, limit)
    if not request.state.counted:
        raise exceeded(request.state.allowance)


class AuthenticatedRoute(APIRoute):
    """A route that authenticates, and counts the request, before anything of its body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the authentication."""
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            await identify(request)
            if request.method == "GET":
                return await _while_connected(request, in_turn(request))
            await request.body()  # kept for the handler: a body that comes slowly holds no turn
            return await in_turn(request)

        async def in_turn(request: Request) -> Response:
            turns: Turns = request.app.state.turns
            async with turns.take(request.state.principal.tenant.id):
                return await handle(request)

        return authenticated


async def _while_connected(request: Request, handling: Coroutine[Any, Any, Response]) -> Response:
    """Return the response to a request without a body, unless its client disconnects: then the handling is cancelled.

    What has not begun, such as a call that waits for a thread, never begins. Raises `ClientDisconnect`.
    """
    work, gone = asyncio.ensure_future(handling), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def authorised(
    request: Request,
    needed: SecurityScopes,
    _key: Annotated[object, Security(APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", auto_error=False))],
    _bearer: Annotated[object, Security(HTTPBearer(scheme_name="Bearer", auto_error=False))],
) -> Principal:
    """Return the principal when its key carries every scope that the route needs; the authentication has read it."""
    principal: Principal = request.state.principal
    for scope in needed.scopes:
        if not principal.key.allows(Scope(scope)):
            raise ApiError(ErrorCode.AUTHORIZATION_ERROR, f"The API key lacks the scope {scope!s}.")
    return principal


async def operating(principal: Annotated[Principal, Security(authorised, scopes=[Scope.ADMIN])]) -> Principal:
    """Return the principal when it administers the platform: an admin key of the operator tenant."""
    if principal.tenant.id != OPERATOR:
        raise ApiError(ErrorCode.AUTHORIZATION_ERROR, "Only an admin key of the operator tenant may do this.")
    return principal


async def administering(
    tenant_id: TenantId, principal: Annotated[Principal, Security(authorised, scopes=[Scope.ADMIN])]
) -> Principal:
    """Return the principal when it administers this tenant: an admin key of the operator, or of the tenant itself.

    Raises the same 404 for another tenant and for one that does not exist.
    """
    if principal.tenant.id not in (OPERATOR, tenant_id):
        raise not_found("tenant")
    return principal


MayDispatch = Annotated[Principal, Security(authorised, scopes=[Scope.DISPATCH])]
MayRead = Annotated[Principal, Security(authorised, scopes=[Scope.STATUS])]
MayList = Annotated[Principal, Security(authorised, scopes=[Scope.LIST])]
MayCancel = Annotated[Principal, Security(authorised, scopes=[Scope.CANCEL])]
MayDelete = Annotated[Principal, Security(authorised, scopes=[Scope.DELETE])]
MayRelease = Annotated[Principal, Security(authorised, scopes=[Scope.RELEASE])]
MayPromote = Annotated[Principal, Security(authorised, scopes=[Scope.PROMOTE])]
Operator = Annotated[Principal, Security(operating)]
Administrator = Annotated[Principal, Security(administering)]
