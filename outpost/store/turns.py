"""Whose turn it is: where the next claim begins to look for tenants with work."""

from outpost.domain.agents import Agent
from outpost.store import keys
from outpost.store.database import Database


class Turns:
    """An item for each agent in the queues table. It need not be exact: tenants are found from anywhere."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def behind(self, agent: Agent) -> str:
        """Return the tenant behind which to begin; empty at the first."""
        item = self._db.get(self._db.queues, *keys.turn(agent), consistent=False)
        return str(item["tenant_id"]) if item else ""

    def keep(self, agent: Agent, tenant_id: str) -> None:
        """Let the next claim begin behind a tenant."""
        self._db.put(self._db.queues, keys.turn(agent).item(tenant_id=tenant_id))
