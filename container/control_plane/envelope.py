"""The form of every request and response: a response has `data` or `error`, and `meta`.

Requests give times in ISO 8601 only, where Pydantic would take numbers as seconds since 1970 as well.
"""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import date, datetime
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from outpost.domain.ids import now

Data = TypeVar("Data")

request_id: ContextVar[str] = ContextVar("request_id")
"""Id of the current request, set by the middleware."""


def _absent(value: object) -> bool:
    return value is None


class View(BaseModel):
    """Something that the API shows: snake_case in code, camelCase outside."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)

    @classmethod
    def showing(cls, *sources: object, **more: object) -> Self:
        """Show values of the domain by their fields' names, and `more`; what the view does not name stays inside."""
        fields = {name: value for source in sources for name, value in vars(source).items()}
        return cls.model_validate(fields | more, by_name=True, from_attributes=True)


class Body(BaseModel):
    """Something that the API takes: unknown fields are refused, because what has no effect must not be accepted.

    NUL is refused in every text: no argument, environment variable or file name can hold it (execve(2)).
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: object) -> object:
        if _has_nul(value):
            raise ValueError("has a NUL character, which no program can be given: remove it")
        return value


def _has_nul(value: object) -> bool:
    """Return whether a JSON value has NUL in one of its texts or keys."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple | set | frozenset) and any(_has_nul(part) for part in value)


def _no_number(example: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, int | float) or (isinstance(value, str) and _is_number(value)):
            raise ValueError(f"{str(value)[:40]} is a number: write it as ISO 8601 has it, such as {example}")
        return value

    return check


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Time = Annotated[AwareDatetime, BeforeValidator(_no_number("2026-11-28T09:30:00Z"))]
"""A moment, with its offset from UTC."""
Day = Annotated[date, BeforeValidator(_no_number("2026-11-28"))]
"""A day of the calendar."""


class Pagination(View):
    """Where a list continues."""

    cursor: str | None = Field(description="Give it back as `cursor` to continue the list; opaque, signed.")
    has_more: bool = Field(description="Whether another page can be read now.")
    limit: int = Field(description="The page size that was applied.")


class Meta(View):
    """What describes the response rather than its data."""

    request_id: str = Field(description="Finds the request in the service's log; equals the header `X-Request-ID`.")
    timestamp: datetime = Field(description="When the response was made, UTC.")
    pagination: Pagination | None = Field(default=None, exclude_if=_absent, description="Present for lists.")


class Success(View, Generic[Data]):
    """A response with data."""

    success: Literal[True] = Field(default=True, description="It worked.")
    data: Data = Field(description="What was asked for.")
    meta: Meta = Field(description="About this response.")


class Detail(View):
    """One field that was refused, and why."""

    field: str = Field(description="The field, query parameter or header as the client names it.")
    message: str = Field(description="What is wrong, and what would be right.")


class Problem(View):
    """What was refused."""

    code: str = Field(description="For programs.", examples=["VALIDATION_ERROR"])
    message: str = Field(description="For people: what is wrong and what to do about it.")
    details: list[Detail] | None = Field(default=None, exclude_if=_absent, description="The refused fields.")


class Failure(View):
    """A response without data."""

    success: Literal[False] = Field(default=False, description="It was refused, or failed.")
    error: Problem = Field(description="What was wrong.")
    meta: Meta = Field(description="About this response.")


def success(data: Data, pagination: Pagination | None = None) -> Success[Data]:
    """Wrap data in the envelope."""
    return Success(data=data, meta=meta(pagination))


def meta(pagination: Pagination | None = None) -> Meta:
    """Return the `meta` of the response to the current request."""
    return Meta(request_id=request_id.get(), timestamp=now(), pagination=pagination)
