"""Rows leave out what is None: whatever can be None has to have a default, or the row cannot be read again."""

import typing
from collections.abc import Iterator

from pydantic import BaseModel

from outpost.domain.dispatch import Dispatch
from outpost.domain.reasons import Reason


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def reachable(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                reachable(inner, seen)
    return seen


def test_what_can_be_none_has_a_default_in_every_model_of_a_row() -> None:
    models = reachable(Dispatch, set())
    missing = {
        f"{each.__name__}.{name}"
        for each in models
        for name, field in each.model_fields.items()
        if field.is_required() and type(None) in typing.get_args(field.annotation)
    }
    assert len(models) > 8
    assert missing == set()


def test_rows_of_earlier_releases_are_read() -> None:
    assert Reason.model_validate({"code": "BUDGET_SPENT", "message": "m", "remedy": "r"}).code == "BUDGET_EXCEEDED"
