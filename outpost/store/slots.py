"""The tenants' slots: an item for each that was ever taken, in the workers table."""

from collections import Counter
from datetime import datetime, timedelta

from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.slots import SOON, Slots
from outpost.store import keys
from outpost.store.database import Database, Item, Write, update_write


class TenantSlots:
    """Reads tenants' slots. The write that claims a dispatch takes one, and the one that ends it frees it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, tenant_id: str) -> Slots:
        """Read a tenant's slots."""
        values = {"pk": keys.slot(tenant_id).pk, "slot": keys.SLOT}
        items = list(self._db.query(self._db.workers, "pk = :pk AND begins_with(sk, :slot)", values))
        taken = [item for item in items if "dispatch_id" in item]
        return Slots(
            taken={keys.slot_number(i["sk"]): i["dispatch_id"] for i in taken},
            last_served=max((i["claimed_at"] for i in items), default=""),
            agents=Counter(i.get("held_by_agent", "") for i in taken),
            ending={keys.slot_number(i["sk"]): since for i in taken if (since := _ending(i))},
        )


def taking_slot(database: Database, row: Dispatch, number: int, at: datetime) -> Write:
    """Return the write by which a dispatch takes a free slot."""
    return update_write(
        database.workers,
        keys.slot(row.tenant_id, number),
        "SET dispatch_id = :id, claimed_at = :now, held_by_agent = :agent",
        "attribute_not_exists(dispatch_id)",
        id=row.id,
        now=at.isoformat(),
        agent=row.spec.agent,
    )


def following_slot(database: Database, row: Dispatch, changed: Dispatch) -> Write | None:
    """Return the write by which the slot of a row follows its change, or None.

    A slot says when its agent has ended, and how long it was last held: the planner starts the next worker by it.
    """
    values = {"id": row.id}
    if row.slot is None:
        return None
    if changed.slot is None:
        expression = "SET held_seconds = :held REMOVE dispatch_id, ending_at"
        values["held"] = str(_held_seconds(row, changed))
    elif changed.status is Status.COMPLETING and changed.completing_at:
        expression, values["ending"] = "SET ending_at = :ending", changed.completing_at.isoformat()
    else:
        return None
    return update_write(database.workers, keys.slot(row.tenant_id, row.slot), expression, "dispatch_id = :id", **values)


def _held_seconds(row: Dispatch, changed: Dispatch) -> float:
    since, until = row.provisioning_at, changed.ended_at or changed.queued_at
    return (until - since).total_seconds() if since else 0.0


def _ending(slot: Item) -> datetime | None:
    """Return since when a taken slot is about to be free, as far as is known."""
    if "ending_at" in slot:
        return datetime.fromisoformat(slot["ending_at"])
    quick = "held_seconds" in slot and timedelta(seconds=float(slot["held_seconds"])) < SOON
    return datetime.fromisoformat(slot["claimed_at"]) if quick else None
