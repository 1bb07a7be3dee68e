"""What the sweep saw of the workers' heartbeats, kept between its runs in one item: one read and one write a pass."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter

from outpost.store.database import Database


class Observation(BaseModel):
    """A worker's token and beat counter, and since when the sweep has seen them unchanged."""

    model_config = ConfigDict(frozen=True)

    token: int
    beat: int
    since: datetime


_DOCUMENT = TypeAdapter(dict[str, Observation])


class Observations:
    """The sweep's item in the workers table: about 100 bytes a worker, of the 400 KB that an item may have."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def load(self) -> dict[str, Observation]:
        """Return the last pass's observations by worker id."""
        item = self._db.get(self._db.workers, "SWEEP", "OBSERVATIONS")
        return _DOCUMENT.validate_json(item["document"]) if item else {}

    def save(self, seen: Mapping[str, Observation]) -> None:
        """Keep this pass's observations."""
        document = _DOCUMENT.dump_json(dict(seen)).decode()
        self._db.put(self._db.workers, {"pk": "SWEEP", "sk": "OBSERVATIONS", "document": document})
