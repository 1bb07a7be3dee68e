"""Which links to artifacts were opened: each opens once."""

from outpost.store import keys
from outpost.store.database import ConflictError, Database


class Links:
    """Opened links in the tenants table; an item ends by its TTL, when its link would have ended anyway."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def open(self, link_id: str, until: int) -> bool:
        """Mark a link as opened and return whether this is the first time. `until` is its end, in epoch seconds."""
        try:
            self._db.put(self._db.tenants, keys.link(link_id).item(expires_at=until), "attribute_not_exists(pk)")
        except ConflictError:
            return False
        return True
