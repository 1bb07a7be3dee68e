"""What is wrong with a configuration file, said so that it can be put right."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from outpost.domain.validation import remedy_of
from outpost_ops.errors import OperationError


@dataclass(frozen=True)
class Problem:
    """One fault: the field (dotted), its value, what is allowed there, and what to do."""

    field: str
    value: Any
    allowed: str
    remedy: str

    def __str__(self) -> str:
        """Return the fault in one sentence."""
        given = "is missing" if self.value is None else f"is {self.value!r}"
        return f"{self.field} {given}; allowed: {self.allowed}. {self.remedy}"


class ConfigError(OperationError):
    """A configuration file cannot be used; the text names file, field, value, allowed values and remedy."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{path} (environment {path.stem}):", *(f"  - {p}" for p in self.problems)]))


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Translate pydantic's errors: the allowed values come from the fields' descriptions."""
    return [
        Problem(
            field=".".join(str(part) for part in fault["loc"] if part != "[key]"),
            value=None if fault["type"] == "missing" else fault["input"],
            allowed=_allowed(model, fault["loc"]),
            remedy=_sentence(remedy_of(fault)),
        )
        for fault in error.errors(include_url=False)
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _allowed(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Return what the deepest field on the way to the fault allows, or the names that exist there."""
    here: type[BaseModel] | None = model
    allowed = ""
    parts = iter(location)
    for part in parts:
        if here is None:
            break
        field = here.model_fields.get(str(part))
        if field is None:
            return f"one of {', '.join(here.model_fields)}"
        allowed = allowed_in(field) or f"a table [{part}]"
        here = _model_in(field.annotation)
        if get_origin(field.annotation) is dict:
            next(parts, None)  # the key
    return allowed


def allowed_in(field: FieldInfo) -> str:
    """Return what is allowed in a field: its bounds and its description, '1 to 5000, most workers at once'."""
    least = next((each.ge for each in field.metadata if isinstance(each, Ge)), None)
    most = next((each.le for each in field.metadata if isinstance(each, Le)), None)
    bounds = "" if least is None else f"{least} or more" if most is None else f"{least} to {most}"
    return ", ".join(part for part in (bounds, field.description) if part)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
