"""What is wrong with a value is said with the value and the remedy, whatever pydantic calls it."""

import importlib
import pkgutil
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from control_plane import schemas
from control_plane.envelope import Body
from control_plane.errors import SECRET_FIELDS
from outpost.domain.validation import explain


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("kind", "value", "explained"),
    [
        (bool, "maybe", 'is "maybe": give true or false'),
        (date, "soon", 'is "soon": give a day as YYYY-MM-DD'),
        (datetime, "soon", 'is "soon": give a time with its zone, such as 2026-01-31T12:00:00Z'),
        (time, "noon", 'is "noon": give a time of day such as 08:00'),
        (int, "x", 'is "x": give a whole number'),
        (int, 1.5, "is 1.5: give a whole number"),
        (float, "x", 'is "x": give a number'),
        (Annotated[float, Field(allow_inf_nan=False)], "nan", 'is "nan": give a finite number'),
        (Annotated[float, Field(ge=1, le=9)], 0, "is 0: give 1 or more"),
        (Annotated[float, Field(ge=1, le=9.5)], 10, "is 10: give 9.5 or less"),
        (Annotated[int, Field(gt=1)], 1, "is 1: give more than 1"),
        (Annotated[int, Field(lt=1)], 1, "is 1: give less than 1"),
        (str, 1, "is 1: give a text"),
        (Annotated[str, Field(min_length=1)], "a\ud800", 'is "a\\ud800": give a text without lone surrogates'),
        (Annotated[str, Field(max_length=3)], "long", "has 4 characters: give 3 characters or fewer"),
        (Annotated[list[int], Field(min_length=1)], [], "has 0 entries: give 1 or more"),
        (list[int], 1, "is 1: give a list"),
        (frozenset[int], 1, "is 1: give a list"),
        (tuple[int, ...], "x" * 99, f'is "{"x" * 79}...: give a list'),
        (dict[str, int], [], "is []: give an object"),
        (Literal["a", "b"], "c", "is \"c\": give 'a' or 'b'"),
        (Colour, "green", "is \"green\": give 'red' or 'blue'"),
        (Annotated[str, Field(pattern="^[a-z]{2}$")], "A", 'is "A": give a text that matches ^[a-z]{2}$'),
    ],
    ids=str,
)
def test_a_refused_value_is_named_with_what_to_give(kind: Any, value: object, explained: str) -> None:  # noqa: ANN401
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    (fault,) = refused.value.errors()
    assert explain(fault) == explained
    assert str(value) not in explain(fault, secret=True) or not isinstance(value, str)


def test_a_secret_of_any_body_is_not_repeated() -> None:
    for module in pkgutil.iter_modules(schemas.__path__):
        importlib.import_module(f"{schemas.__name__}.{module.name}")
    fields = {
        (info.alias or name)
        for model in _all_below(Body)
        for name, info in model.model_fields.items()
        if SecretStr in (info.annotation, *getattr(info.annotation, "__args__", ()))
    }
    assert fields
    assert fields <= SECRET_FIELDS


def _all_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = set(model.__subclasses__())
    return found | {each for below in found for each in _all_below(below)}
