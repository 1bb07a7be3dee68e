"""What several routes need: the services, and the cursors of lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from control_plane.envelope import Pagination, Success, success
from control_plane.errors import invalid
from control_plane.schemas.tenants import PageQuery
from control_plane.services import Services
from control_plane.signing import BadTokenError, Json, Signer

Item = TypeVar("Item")
Shown = TypeVar("Shown")


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Injected = Annotated[Services, Depends(_services)]
Paged = Annotated[PageQuery, Query()]


@dataclass(frozen=True)
class Cursors:
    """The cursors of one list: signed, and valid for no other list, tenant or filter."""

    signer: Signer
    purpose: str
    context: tuple[str, ...] = ()

    def open(self, cursor: str | None) -> Json | None:
        """Return the place that a cursor names, or None without one. Raises `ApiError`: 400 for one of another list."""
        if cursor is None:
            return None
        try:
            return self.signer.open(self.purpose, self.context, cursor)
        except BadTokenError as error:
            message = "belongs to another list or filter, or is damaged: begin again without it"
            raise invalid(("cursor", message)) from error

    def pagination(self, limit: int, place: Json | None, *, has_more: bool = True) -> Pagination:
        """Return where a list continues; without a place it has ended."""
        cursor = self.signer.seal(self.purpose, self.context, place) if place else None
        return Pagination(cursor=cursor, has_more=has_more and cursor is not None, limit=limit)

    def page(
        self, found: Sequence[Item], limit: int, show: Callable[[Item], Shown], place: Callable[[Item], Json]
    ) -> Success[list[Shown]]:
        """Return the first `limit` items as they are shown; there are more pages if more were found.

        `place` names where an item stands.
        """
        pagination = self.pagination(limit, place(found[limit - 1]) if len(found) > limit else None)
        return success([show(item) for item in found[:limit]], pagination)
