"""The HTTP session with the API: one method per endpoint."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from outpost_client.errors import TRANSIENT, ApiError, not_understood, refused, unreachable
from outpost_client.live import NoStreamError, live
from outpost_client.models import (
    Artifact,
    ArtifactList,
    Dispatch,
    DispatchRequest,
    Health,
    IssuedKey,
    Key,
    Limits,
    LogLine,
    Page,
    Pagination,
    PromotionRequest,
    ReleaseRequest,
    Secret,
    Tenant,
    Usage,
)

Model = TypeVar("Model", bound=BaseModel)
Parsed = TypeVar("Parsed")
Query = Mapping[str, str | int | Sequence[str] | None]
Body = Mapping[str, object] | None

TIMEOUT = 30.0
"""Seconds that a request may take."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 2.0
"""Seconds between two polls of a dispatch."""
RETRIES = 30
"""How often in a row a request is retried whose error is transient."""


class _Meta(BaseModel):
    pagination: Pagination | None = None


class _Response(BaseModel, Generic[Parsed]):
    data: Parsed
    meta: _Meta


class Client:
    """A connection to one Outpost with one API key. Every method raises `ApiError` when the API refuses."""

    def __init__(self, url: str, key: str | None = None, *, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, transport=transport)
        # Artifacts are opened by the token in their URL; the key must not follow a redirect to another host.
        self._keyless = httpx.Client(base_url=self.url, timeout=TIMEOUT, transport=transport, follow_redirects=True)

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes the connections."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()
        self._keyless.close()

    def dispatch(self, request: DispatchRequest, idempotency_key: str | None = None) -> Dispatch:
        """Dispatch a task. The same idempotency key and request within 24 h return the first dispatch again."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._one(Dispatch, "POST", "/dispatch", _given(request), headers=headers)

    def status(self, dispatch_id: str) -> Dispatch:
        """Return a dispatch as it is now."""
        return self._one(Dispatch, "GET", f"/dispatch/{dispatch_id}")

    def dispatches(self, filters: Query, cursor: str | None = None, limit: int = 20) -> Page[Dispatch]:
        """Return a page of dispatches, newest first; filters are status, agent, repo, since, until and tag."""
        return self._page(Dispatch, "/dispatch", {**filters, "cursor": cursor, "limit": limit})

    def logs(self, dispatch_id: str, cursor: str | None = None, limit: int = 1000) -> Page[LogLine]:
        """Return a page of a dispatch's log, oldest line first."""
        return self._page(LogLine, f"/dispatch/{dispatch_id}/logs", {"cursor": cursor, "limit": limit})

    def log_lines(self, dispatch_id: str) -> Iterator[LogLine]:
        """Yield every line of a dispatch's log so far, oldest first."""
        cursor, more = None, True
        while more:
            page = self.logs(dispatch_id, cursor)
            yield from page.items
            cursor, more = page.cursor, page.has_more

    def watch(self, dispatch_id: str) -> Iterator[Dispatch | LogLine]:
        """Yield what `events` yields; where no stream of events gets through, what `follow` yields."""
        try:
            yield from self.events(dispatch_id)
        except NoStreamError:
            yield from self.follow(dispatch_id)

    def events(self, dispatch_id: str) -> Iterator[Dispatch | LogLine]:
        """Yield a dispatch's events to its end. Raises `NoStreamError` where the stream does not get through."""
        yield from live(self._http, dispatch_id)

    def follow(self, dispatch_id: str, pause: Callable[[float], None] = time.sleep) -> Iterator[Dispatch | LogLine]:
        """Yield the dispatch at each change of status, and each log line once, to the end, by polling."""
        seen, cursor, wait = None, None, FIRST_WAIT
        while True:
            dispatch = _retry(partial(self.status, dispatch_id), pause)
            if dispatch.status is not seen and not dispatch.status.terminal:
                yield dispatch
            seen, more = dispatch.status, True
            while more:
                page = _retry(partial(self.logs, dispatch_id, cursor), pause)
                yield from page.items
                cursor, more = page.cursor, page.has_more
            if dispatch.status.terminal:
                yield dispatch
                return
            pause(wait)
            wait = min(wait * 1.3, LONGEST_WAIT)

    def cancel(self, dispatch_id: str, reason: str | None = None) -> Dispatch:
        """Ask for a dispatch's end; a dispatch that ended already is refused with CONFLICT."""
        return self._one(Dispatch, "DELETE", f"/dispatch/{dispatch_id}", {"reason": reason} if reason else None)

    def promote(self, dispatch_id: str, request: PromotionRequest) -> Dispatch:
        """Push a dispatch's result to a branch; returns the promotion, a dispatch of its own."""
        return self._one(Dispatch, "POST", f"/dispatch/{dispatch_id}/promote", _given(request))

    def release(self, dispatch_id: str, request: ReleaseRequest) -> Dispatch:
        """Let withheld results be fetched and promoted; needs the scope release."""
        return self._one(Dispatch, "POST", f"/dispatch/{dispatch_id}/release", _given(request))

    def artifacts(self, dispatch_id: str) -> ArtifactList:
        """Return what the winning attempt left, and what of it is withheld."""
        listed = self._one(ArtifactList, "GET", f"/artifacts/{dispatch_id}")
        reachable = [each.model_copy(update={"url": self._reachable(each.url)}) for each in listed.artifacts]
        return listed.model_copy(update={"artifacts": reachable})

    def download(self, artifact: Artifact, target: Path) -> None:
        """Write an artifact to a file, whole or not at all. Raises `ApiError` and `OSError`."""
        part = target.with_name(f"{target.name}.part")
        try:
            with self._keyless.stream("GET", artifact.url) as response:
                if response.is_error:
                    response.read()
                    raise refused(response)
                with part.open("wb") as file:
                    file.writelines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        part.replace(target)

    def create_tenant(self, tenant_id: str, name: str, tier: str, limits: Limits | None = None) -> Tenant:
        """Create a tenant (operator); limits are those that differ from the tier's."""
        own = {"limits": _given(limits)} if limits else {}
        return self._one(Tenant, "POST", "/tenants", {"id": tenant_id, "name": name, "tier": tier, **own})

    def tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant (operator)."""
        return self._one(Tenant, "GET", f"/tenants/{tenant_id}")

    def change_tenant(
        self,
        tenant_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        limits: Limits | None = None,
        repositories: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
    ) -> Tenant:
        """Change a tenant (operator): what is None stays; limits are all that shall differ from the tier's."""
        fields = {"name": name, "tier": tier, "repositories": repositories, "providers": providers}
        changes: dict[str, object] = {field: value for field, value in fields.items() if value is not None}
        changes |= {"limits": _given(limits)} if limits else {}
        return self._one(Tenant, "PATCH", f"/tenants/{tenant_id}", changes)

    def tenants(self, cursor: str | None = None) -> Page[Tenant]:
        """Return a page of tenants (operator)."""
        return self._page(Tenant, "/tenants", {"cursor": cursor, "limit": 100})

    def suspend_tenant(self, tenant_id: str, *, cancel_running: bool = False) -> Tenant:
        """Suspend a tenant, and cancel what it runs if so wanted (operator)."""
        body = {"cancelRunning": True} if cancel_running else None
        return self._one(Tenant, "POST", f"/tenants/{tenant_id}/suspend", body)

    def resume_tenant(self, tenant_id: str) -> Tenant:
        """Resume a suspended tenant (operator)."""
        return self._one(Tenant, "POST", f"/tenants/{tenant_id}/resume")

    def create_key(
        self, tenant_id: str, name: str, scopes: Sequence[str], expires_at: datetime | None = None
    ) -> IssuedKey:
        """Issue a key for a tenant (operator); its text is in the response only."""
        body = {"name": name, "scopes": list(scopes)}
        end = {"expiresAt": expires_at.isoformat()} if expires_at else {}
        return self._one(IssuedKey, "POST", f"/tenants/{tenant_id}/keys", {**body, **end})

    def rotate_key(self, key_id: str, overlap_seconds: int) -> IssuedKey:
        """Issue a key like this one (operator), which itself ends after the overlap."""
        return self._one(IssuedKey, "POST", f"/keys/{key_id}/rotate", {"overlapSeconds": overlap_seconds})

    def keys(self, tenant_id: str, cursor: str | None = None) -> Page[Key]:
        """Return a page of a tenant's keys (operator)."""
        return self._page(Key, f"/tenants/{tenant_id}/keys", {"cursor": cursor, "limit": 100})

    def revoke_key(self, key_id: str) -> Key:
        """Revoke a key (operator): it opens nothing 30 s later."""
        return self._one(Key, "DELETE", f"/keys/{key_id}")

    def set_secret(self, tenant_id: str, name: str, value: str) -> Secret:
        """Set a tenant's secret (admin)."""
        return self._one(Secret, "PUT", f"/tenants/{tenant_id}/secrets/{name}", {"value": value})

    def secrets(self, tenant_id: str) -> Page[Secret]:
        """Return the names of all of a tenant's secrets (admin)."""
        return self._page(Secret, f"/tenants/{tenant_id}/secrets", {})

    def delete_secret(self, tenant_id: str, name: str) -> Secret:
        """Delete a tenant's secret (admin)."""
        return self._one(Secret, "DELETE", f"/tenants/{tenant_id}/secrets/{name}")

    def usage(self, query: Query) -> Usage:
        """Return what dispatches used; the query has since, until, groupBy, tag and tenant."""
        return self._one(Usage, "GET", "/usage", query=query)

    def usage_csv(self, query: Query) -> str:
        """Return the rows of `usage` as comma-separated values."""
        return self._response("GET", "/usage.csv", query=query).text

    def ready(self) -> bool:
        """Return whether the service responds and reaches what it needs. Never raises `ApiError`."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.HTTPError:
            return False

    def health(self) -> Health:
        """Return how the service is; it needs no key."""
        return self._one(Health, "GET", "/health")

    def _reachable(self, url: str) -> str:
        """Return one of the service's own URLs by the name under which we reach it, which may not be its own."""
        parts = urlsplit(url)
        return f"{self.url}{parts.path}?{parts.query}"

    def _one(self, model: type[Model], method: str, path: str, body: Body = None, **options: Any) -> Model:  # noqa: ANN401 - of `_response`
        return self._parse(model, self._response(method, path, json=body, **options)).data

    def _page(self, model: type[Model], path: str, query: Query) -> Page[Model]:
        found = self._parse(list[model], self._response("GET", path, query=query))  # type: ignore[valid-type]
        pagination = found.meta.pagination or Pagination()
        return Page(items=found.data, cursor=pagination.cursor, has_more=pagination.has_more)

    def _parse(self, data: type[Parsed], response: httpx.Response) -> _Response[Parsed]:
        try:
            return _Response[data].model_validate_json(response.content)  # type: ignore[valid-type]
        except ValidationError as error:
            raise not_understood(response) from error

    def _response(self, method: str, path: str, *, query: Query | None = None, **options: Any) -> httpx.Response:  # noqa: ANN401 - of `httpx.Client.request`
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = self._http.request(method, path, params=parameters, **options)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        if response.is_error:
            raise refused(response)
        return response


def _retry(request: Callable[[], Parsed], pause: Callable[[float], None]) -> Parsed:
    for _ in range(RETRIES):
        try:
            return request()
        except ApiError as error:
            if error.code not in TRANSIENT:
                raise
            pause(error.retry_after or LONGEST_WAIT)
    return request()


def _given(request: BaseModel) -> dict[str, object]:
    return request.model_dump(by_alias=True, exclude_none=True)
