"""What the reconciler keeps between its passes: the heartbeats observed, where it stopped, and whether it heard."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from outpost.domain.heartbeats import Observation, ReconcilerState
from outpost.store import keys
from outpost.store.database import ConflictError, Database

OBSERVATIONS_PER_ITEM = 2_500
"""About 100 bytes each, of the 400 KB that an item may have."""


_OBSERVATIONS = TypeAdapter(list[tuple[str, Observation]])


class TakenOverError(Exception):
    """A newer invocation of the reconciler is running: this one has to stop."""


class HeartbeatSnapshot:
    """The reconciler's items in the workers table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def take_over(self, holder: str) -> None:
        """Make this invocation the one whose passes count."""
        self._db.update(self._db.workers, *keys.RECONCILER_STATE, "SET holder = :me", me=holder)

    def state(self, holder: str) -> ReconcilerState:
        """Return the state after the last pass. Raises `TakenOverError`."""
        item = self._db.get(self._db.workers, *keys.RECONCILER_STATE) or {}
        if item.get("holder") != holder:
            raise TakenOverError(item.get("holder"))
        state = ReconcilerState.model_validate_json(item["document"]) if "document" in item else ReconcilerState()
        return state.model_copy(update={"holder": holder})

    def observations(self, state: ReconcilerState) -> dict[str, Observation]:
        """Return what was observed, by worker id."""
        found: dict[str, Observation] = {}
        for number in range(state.items):
            item = self._db.get(self._db.workers, *keys.heartbeats(number))
            found.update(_OBSERVATIONS.validate_json(item["document"]) if item else ())
        return found

    def save(self, state: ReconcilerState, observed: Mapping[str, Observation]) -> None:
        """Keep both. Raises `TakenOverError`, and writes nothing then.

        An invocation that is taken over between its writes mixes its observations with the newer one's. That does no
        harm: one that is missing begins with nothing, an older one has counted less.
        """
        entries = list(observed.items())
        parts = [entries[i : i + OBSERVATIONS_PER_ITEM] for i in range(0, len(entries), OBSERVATIONS_PER_ITEM)]
        document = state.model_copy(update={"items": len(parts)}).model_dump_json()
        item = keys.RECONCILER_STATE.item(holder=state.holder, document=document)
        try:
            self._db.put(self._db.workers, item, "holder = :me", me=state.holder)
        except ConflictError as refused:
            raise TakenOverError(state.holder) from refused
        for number, part in enumerate(parts):
            document = _OBSERVATIONS.dump_json(part).decode()
            self._db.put(self._db.workers, keys.heartbeats(number).item(document=document))
