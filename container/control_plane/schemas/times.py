"""Times as requests give them: ISO 8601 only, where Pydantic would take numbers as seconds since 1970 as well."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator


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
