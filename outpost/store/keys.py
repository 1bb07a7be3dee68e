"""The keys of all items, by table: every format of the partition key `pk` and the sort key `sk`."""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from outpost.domain.agents import Agent

AFTER_IDS = "~"
"""Sorts after every id and every character of one."""
BEFORE_IDS = " "
"""Sorts before every id."""


class Key(NamedTuple):
    """The key of an item."""

    pk: str
    sk: str

    def item(self, **attributes: object) -> dict[str, Any]:
        """Return an item of this key."""
        return {"pk": self.pk, "sk": self.sk, **attributes}


# Table dispatches

ROW = "DISPATCH"
"""Sort key of a row: the stream's filter lets only these items reach a function."""
_DETAILS = "DETAILS#"


def row(dispatch_id: str) -> Key:
    """Return the key of a dispatch's row."""
    return Key(f"DISPATCH#{dispatch_id}", ROW)


def details(dispatch_id: str, digest: str = "") -> Key:
    """Return the key of what does not fit into a row and is never changed; without a digest, where such items begin."""
    return Key(row(dispatch_id).pk, f"{_DETAILS}{digest}")


def task(dispatch_id: str) -> Key:
    """Return the key of the text of a dispatch's task."""
    return Key(row(dispatch_id).pk, "TASK")


def counted(dispatch_id: str) -> Key:
    """Return the key of the mark that a dispatch's usage is counted."""
    return Key(row(dispatch_id).pk, "COUNTED")


def idempotency(tenant_id: str, key: str) -> Key:
    """Return the key of what a tenant's `Idempotency-Key` made."""
    return Key(f"IDEMPOTENCY#{tenant_id}#{key}", "IDEMPOTENCY")


def day(tenant_id: str, at: datetime, shard: int) -> Key:
    """Return the key of a shard of the count of a tenant's dispatches of a day."""
    return Key(f"DAY#{tenant_id}#{at:%Y-%m-%d}", f"{shard:02d}")


def month(tenant_id: str, name: str) -> Key:
    """Return the key of what is committed of a month's budget; `*` is the environment's id."""
    return Key(f"MONTH#{tenant_id}#{name}", "TOTAL")


def usage(tenant_id: str, name: str, tag: str | None = None) -> str:
    """Return the partition of a month's counters of usage, or of those of a tag in a month."""
    return f"USAGE#{tenant_id}#{name}" if tag is None else f"TAG#{tenant_id}#{name}#{tag}"


def counter(number: int, agent: str, model: str | None, *, tag: str | None = None, tenant_id: str | None = None) -> str:
    """Return `<day>#<agent>#<model>`, with a digest of a tag's value, which may be longer than a key, or a tenant."""
    digest = None if tag is None else hashlib.sha256(tag.encode()).hexdigest()[:32]
    return "#".join([f"{number:02d}", agent, model or "", *filter(None, (digest, tenant_id))])


# Table tenants


def tenant(tenant_id: str) -> Key:
    """Return the key of a tenant."""
    return Key(f"TENANT#{tenant_id}", "TENANT")


def api_key(sha256: str) -> Key:
    """Return the key of an API key's item."""
    return Key(f"KEY#{sha256}", "KEY")


def rate(sha256: str, window: int) -> Key:
    """Return the key of the requests of an API key in a minute, which begins at epoch second `window`."""
    return Key(f"RATE#{sha256}", str(window))


def secret(tenant_id: str, name: str = "") -> Key:
    """Return the key of a tenant's secret; the tenant's secrets are one partition."""
    return Key(f"SECRETS#{tenant_id}", name)


def link(link_id: str) -> Key:
    """Return the key of the mark that a link was opened."""
    return Key(f"LINK#{link_id}", "LINK")


# Table workers

PLANNER_LOCK = Key("LEASE#planner", "LEASE")
LAUNCH_RATE = Key("LEASE#planner", "RATE")
DEMAND_CURSOR = Key("LEASE#planner", "CURSOR")
RECONCILER_STATE = Key("SWEEP", "STATE")


def worker(agent: Agent, worker_id: str = "") -> Key:
    """Return the key of a living worker; an agent's living workers are one partition."""
    return Key(f"WORKERS#{agent}", worker_id)


def ended_worker(worker_id: str) -> Key:
    """Return the key of the mark that a worker has ended."""
    return Key(f"ENDED#{worker_id}", "WORKER")


SLOT = "SLOT#"


def slot(tenant_id: str, number: int = 0) -> Key:
    """Return the key of one of a tenant's slots."""
    return Key(f"TENANT#{tenant_id}", f"{SLOT}{number:03d}")


def slot_number(sort_key: str) -> int:
    """Return the number of a slot."""
    return int(sort_key.removeprefix(SLOT))


def intent(agent: Agent, batch_id: str) -> Key:
    """Return the key of a launch that was intended."""
    return Key(f"INTENT#{agent}", batch_id)


def launch_failure(agent: Agent) -> Key:
    """Return the key of an agent's latest failure to launch; it sorts after every intent."""
    return intent(agent, "~failure")


def heartbeats(number: int) -> Key:
    """Return the key of a part of what the reconciler observed of heartbeats."""
    return Key(RECONCILER_STATE.pk, f"OBSERVATIONS#{number:04d}")


# Table queues


def queue_entry(agent: Agent, tenant_id: str = "", dispatch_id: str = "") -> Key:
    """Return the key of a pending dispatch in its agent's queue: a claim steps from tenant to tenant."""
    return Key(f"QUEUE#{agent}", f"{tenant_id}#{dispatch_id}")


class Queued(NamedTuple):
    """What a sort key of a queue's entry says."""

    tenant_id: str
    dispatch_id: str


def queued(sort_key: str) -> Queued:
    """Return the ids of an entry."""
    tenant_id, _, dispatch_id = sort_key.partition("#")
    return Queued(tenant_id, dispatch_id)


def after_tenant(tenant_id: str) -> str:
    """Return what sorts after all entries of a tenant; with an empty id, before those of all."""
    return f"{tenant_id}#{AFTER_IDS}" if tenant_id else BEFORE_IDS


def turn(agent: Agent) -> Key:
    """Return the key of the tenant behind which the next claim of an agent begins."""
    return Key(f"TURN#{agent}", "TURN")


# Table workspaces

_WORKSPACE = "WORKSPACE#"


def workspace(tenant_id: str, workspace_id: str = AFTER_IDS) -> Key:
    """Return the key of a workspace; the default sorts after all of a tenant's."""
    return Key(f"TENANT#{tenant_id}", f"{_WORKSPACE}{workspace_id}")


def workspace_ids(key: Key) -> tuple[str, str]:
    """Return the tenant's and the workspace's id of a workspace's key."""
    return key.pk.removeprefix("TENANT#"), key.sk.removeprefix(_WORKSPACE)


def place(tenant_id: str, number: int = 0) -> Key:
    """Return the key of one of a tenant's numbered places for workspaces."""
    return Key(f"PLACES#{tenant_id}", f"{number:03d}")


def saves(tenant_id: str) -> Key:
    """Return the key of the count of a tenant's saves of workspaces."""
    return Key(f"SAVES#{tenant_id}", "SAVES")
