"""The models that agents can run: identity, limits, prices and dates, read once from `models.toml`."""

import re
import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from outpost.domain.usage import Tokens
from outpost.domain.validation import explain

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MILLION = 1_000_000
_SNAPSHOT = re.compile(r"(-(\d{8}|\d{4}-\d{2}-\d{2}|\d{3}))?(-v\d+(:\d+)?)?$")
"""What providers append to a model's id: the date or the number of a snapshot, and Bedrock's version."""
_Usd = Annotated[float, Field(ge=0)]


class ModelsError(Exception):
    """`models.toml` is wrong; the text names entry, field, value and what is allowed."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Price:
    """US dollars for a million tokens."""

    input: _Usd
    output: _Usd
    cached: _Usd
    """Input that the provider's cache served."""
    cache_write: _Usd | None = None
    """Input that the provider's cache took; None: the price of input."""
    above: Annotated[int, Field(ge=0)] = 0
    """It applies to calls with more tokens of input than this, cached ones included: to all of their tokens."""

    def of(self, tokens: Tokens) -> float:
        """Return the cost in US dollars."""
        plain = tokens.input - tokens.cached - tokens.cache_write
        written = self.input if self.cache_write is None else self.cache_write
        whole = plain * self.input + tokens.cached * self.cached + tokens.cache_write * written
        return (whole + tokens.output * self.output) / _MILLION


class Model(BaseModel):
    """One entry of `models.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    """A name of `outpost.domain.providers`, or `bedrock`."""
    id: str
    aliases: tuple[str, ...] = ()
    """Other ids that mean this model."""
    price: Price
    long_price: Price | None = None
    context_window: int = Field(gt=0)
    """Tokens of input that the model takes."""
    largest_output: int = Field(gt=0)
    """Tokens that the model writes where a request sets no limit."""
    released: date
    retires: date | None = None
    """The first day on which requests fail; None: the provider has announced none."""
    replacement: str | None = None
    """The id that the provider recommends instead."""
    source: str = Field(pattern=r"^https://")
    certainty: Literal["documented", "secondary"] = "documented"
    """Whether all figures were read in the provider's own documentation, or some elsewhere."""
    checked: date
    """When the entry was last compared with its source."""

    @model_validator(mode="after")
    def _dates_are_in_order(self) -> "Model":
        if self.retires is not None and self.retires <= self.released:
            raise ValueError(f"retires is {self.retires}: name a day after released, {self.released}")
        return self

    def cost_of(self, call: Tokens) -> float:
        """Return what one call costs, in US dollars: long calls have a price of their own with some providers."""
        long = self.long_price
        return (long if long is not None and call.input > long.above else self.price).of(call)


def read_models(text: str) -> tuple[Model, ...]:
    """Return the entries of a `models.toml`. Raises `ModelsError` for one that is wrong, or names that two share."""
    tables = tomllib.loads(text).get("models", [])
    try:
        found = TypeAdapter(tuple[Model, ...]).validate_python(tables)
    except ValidationError as error:
        raise ModelsError("\n".join(_explained(tables, fault) for fault in error.errors())) from None
    names = [name for model in found for name in (model.id, *model.aliases)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ModelsError(f"models.toml: id or aliases name {', '.join(sorted(twice))} twice: remove one")
    return found


def _explained(tables: list[dict[str, object]], fault: "ErrorDetails") -> str:
    entry, *path = fault["loc"]
    name = tables[int(entry)].get("id", f"entry {int(entry) + 1}")
    field = ".".join(str(part) for part in path)
    return f"models.toml: {name}: {field}: {explain(fault)}"


@cache
def models() -> tuple[Model, ...]:
    """Return all models, retired ones included."""
    return read_models(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))


@cache
def _by_name() -> dict[str, Model]:
    return {name: model for model in models() for name in (model.id, *model.aliases)}


def provider_id(name: str) -> str:
    """Return the provider's id of a model, without what CLIs and APIs put around it.

    A provider may precede it (`deepseek/...`, `models/...`, the ARN of a Bedrock model or inference profile), and
    Claude Code's `[1m]` may follow.
    """
    return re.sub(r"\[\w+\]$", "", name.rpartition("/")[2])


def find_model(name: str) -> Model | None:
    """Return the model of an id, an alias or a dated id, as `provider_id` reads them; None if it is not in the file."""
    plain = provider_id(name)
    return _by_name().get(plain) or _by_name().get(_SNAPSHOT.sub("", plain, count=1))
