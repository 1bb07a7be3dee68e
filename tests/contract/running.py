"""A running service, and what a test needs to see behind it."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from botocore.client import BaseClient
from botocore.session import Session

from control_plane.app import create_app
from control_plane.audit import AuditLog
from control_plane.dispatch_reader import DispatchReader
from control_plane.server import configure
from control_plane.services import Services
from control_plane.settings import Settings, Stores
from outpost.domain.artifacts import LogLine, Summary, attempt_prefix, chunk_key
from outpost.domain.dispatch import Dispatch, Status, Usage
from outpost.domain.ids import now
from outpost.domain.lifecycle import Claim, Event, Finish, Report
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import KEY_PREFIX_LENGTH, ApiKey, Limits, Scope, Tenant, hash_key, new_key
from outpost.store.database import Database
from outpost_ops.cli.audit import records
from tests.eventually import eventually
from tests.indexes import await_indexes

MODELS = {"flagship": "claude-opus-5-5", "balanced": "claude-sonnet-5-5", "fast": "claude-haiku-5-5"}
TASK = {"agent": "shell", "task": "echo hello, world"}


SIGNING_SECRET = "a secret of the session"


def connect() -> tuple[Services, Stores]:
    """Return the services and stores of the deployment that this process' environment names."""
    settings = Settings.from_environment()
    stores = Stores.from_environment()
    return Services(settings, stores, AuditLog.from_environment(), SIGNING_SECRET), stores


@contextmanager
def serve(services: Services) -> Iterator[tuple[str, int | None]]:
    """Run the service in a thread of its own: its URL, and the thread of its event loop."""
    server = uvicorn.Server(configure(create_app(services), "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", thread.ident
    server.should_exit = True
    thread.join(20)


@dataclass
class Calls:
    """The AWS calls that a service made, by operation, and those that kept its event loop waiting."""

    made: Counter[str] = field(default_factory=Counter)
    behind: Counter[str] = field(default_factory=Counter)
    """Those of the audit log's thread, which belong to no request."""
    on_loop: list[str] = field(default_factory=list)
    loop_thread: int | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the calls of every client that is made meanwhile, whoever makes it and for whichever service."""
        create: Callable[..., BaseClient] = Session.create_client

        def watching(session: Session, *args: object, **options: object) -> BaseClient:
            client = create(session, *args, **options)
            client.meta.events.register("before-send", self._note)
            return client

        asked = DispatchReader._try

        async def awaited(reader: DispatchReader, operation: str, body: bytes) -> dict[str, Any]:
            self.made[f"dynamodb.{operation}"] += 1
            return await asked(reader, operation, body)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "create_client", watching)
            patch.setattr(DispatchReader, "_try", awaited)
            yield

    def _note(self, event_name: str, **_: object) -> None:
        operation = event_name.removeprefix("before-send.")
        noted = self.behind if threading.current_thread().name == "audit" else self.made
        noted[operation] += 1
        if threading.get_ident() == self.loop_thread:
            self.on_loop.append(operation)


@dataclass(frozen=True)
class Api:
    """A running service, and what a test needs to see behind it."""

    url: str
    services: Services
    stores: Stores
    bucket: str
    s3: Any
    calls: Calls

    def replica(self, **parts: object) -> Services:
        """Return services like these, for another server: with connections, and whatever else is given, of its own."""
        writer = self.services.audit._writer
        audit = AuditLog(writer._place, writer._clients)
        services = Services(self.services.settings, self.stores, audit, SIGNING_SECRET)
        vars(services).update(parts)
        return services

    @property
    def database(self) -> Database:
        """The tables."""
        return self.stores.database

    def records(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the audit records that have these values."""
        httpx.get(f"{self.url}/health/live", timeout=120)  # by its response the request before it is recorded
        self.write_audit_records()
        writer = self.services.audit._writer
        return list(records(writer._clients.logs, writer._place.group, 0, wanted))

    def write_audit_records(self) -> None:
        """Wait until the audit log has written all that was recorded."""
        self.services.audit._hurry.set()
        eventually(lambda: not self.services.audit.waiting)

    def tenant(self, limits: Limits | None = None, **fields: object) -> Tenant:
        """Create a tenant, with limits that do not get into a test's way."""
        roomy = Limits(concurrent=50, daily=10_000, timeout_seconds=1_800, requests_per_minute=1_000_000)
        tenant = Tenant.model_validate(
            {"id": f"t-{uuid.uuid4().hex[:12]}", "name": "Test", "created_at": now(), "overrides": limits or roomy}
            | fields
        )
        self.stores.tenants.add(tenant)
        return tenant

    def key(self, tenant: Tenant | str, *scopes: Scope, **fields: object) -> str:
        """Issue a key; with every scope of a tenant's own when none is named."""
        text = new_key()
        key = {
            "sha256": hash_key(text),
            "prefix": text[:KEY_PREFIX_LENGTH],
            "tenant_id": tenant if isinstance(tenant, str) else tenant.id,
            "name": "test",
            "scopes": scopes or (Scope.DISPATCH, Scope.STATUS, Scope.LIST, Scope.CANCEL),
            "created_at": now(),
        }
        self.stores.tenants.add_key(ApiKey.model_validate(key | fields))
        return text

    def client(self, key: str | None = None) -> httpx.Client:
        """Return a client of the service."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key} if key else {}, timeout=120)

    def await_indexes(self) -> None:
        """Wait until lists show all that was written."""
        await_indexes(self.database)

    def row(self, dispatch_id: str) -> Dispatch:
        """Read a row behind the API's back."""
        row = self.stores.dispatches.get(dispatch_id)
        assert row is not None
        return row

    def advance(self, dispatch_id: str, *events: Event) -> Dispatch:
        """Let things happen to a dispatch."""
        row = self.row(dispatch_id)
        for event in events:
            row = self.stores.dispatches.change(dispatch_id, event)
        return row

    def claim(self, dispatch_id: str, worker_id: str = "worker-1") -> Dispatch:
        """Let a worker claim a dispatch. (Its slot is not taken: that is the broker's transaction.)"""
        row = self.advance(dispatch_id, Claim(worker_id, 0, now()))
        key = {"pk": {"S": f"TENANT#{row.tenant_id}"}, "sk": {"S": "SLOT#000"}}
        held = {"dispatch_id": dispatch_id, "claimed_at": now().isoformat(), "held_by_agent": row.spec.agent}
        item = key | {name: {"S": value} for name, value in held.items()}
        self.database.client.put_item(TableName=self.database.workers, Item=item)
        return row

    def end(self, row: Dispatch) -> Dispatch:
        """Let a running dispatch succeed."""
        assert row.lease is not None
        reason = Reason.of(ReasonCode.COMPLETED, "Done.")
        usage = Usage(duration_seconds=1.5, input_tokens=3, output_tokens=4, vcpu_seconds=0.5, capacity="spot")
        report = Report(row.lease, Status.SUCCESS, reason, now(), 0, usage)
        return self.advance(row.id, Finish(row.lease, 0, now()), report)

    def chunk(self, row: Dispatch, number: int, *messages: str, attempt: int | None = None) -> None:
        """Write a log chunk as a worker does."""
        lines = [LogLine(timestamp=now(), source="agent", message=message) for message in messages]
        key = chunk_key(attempt_prefix(row.tenant_id, row.id, attempt or row.attempt), number)
        self.store_object(key, "".join(f"{line.model_dump_json()}\n" for line in lines))

    def store_object(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())


def summary_of(row: Dispatch, **more: object) -> Summary:
    """Return the summary that the worker of an attempt leaves when it went well; `more` are other fields."""
    return Summary.model_validate(
        {
            "dispatch_id": row.id,
            "tenant_id": row.tenant_id,
            "attempt": row.attempt,
            "worker_id": "worker-1",
            "agent": row.spec.agent,
            "model_id": None,
            "repo": row.spec.repo,
            "outcome": Status.SUCCESS,
            "reason": Reason.of(ReasonCode.COMPLETED, "Done."),
            "exit_code": 0,
            "started_at": now(),
            "ended_at": now(),
            "usage": Usage(),
        }
        | more
    )


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the form of an error and return its `error`."""
    body = response.json()
    assert (response.status_code, body["success"], body["error"]["code"]) == (status, False, code), response.text
    assert body["meta"]["requestId"] == response.headers["X-Request-ID"]
    assert body["meta"]["timestamp"].endswith("Z")
    assert set(body) == {"success", "error", "meta"}
    return dict(body["error"])


def fields(error: dict[str, Any]) -> set[str]:
    """Return the fields that an error names."""
    return {detail["field"] for detail in error["details"]}
