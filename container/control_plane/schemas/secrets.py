"""Tenants' secrets as the API takes and shows them: values go in and never come out."""

from datetime import datetime
from typing import Self

from pydantic import Field, SecretStr, field_validator

from control_plane.envelope import Body, View
from outpost.domain.secrets import MAX_VALUE_LENGTH, MIN_VALUE_LENGTH, TenantSecret


class SecretRequest(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=MIN_VALUE_LENGTH,
        max_length=MAX_VALUE_LENGTH,
        description="Given to agents as an environment variable. Taken out of logs; results that hold it are withheld. "
        "Never shown again.",
    )

    @field_validator("value", mode="before")
    @classmethod
    def _is_long_enough(cls, value: object) -> object:
        if isinstance(value, str) and len(value) < MIN_VALUE_LENGTH:
            raise ValueError(
                f"has {len(value)} characters; a secret needs {MIN_VALUE_LENGTH} or more, "
                "because logs and results are searched for it"
            )
        return value

    @field_validator("value")
    @classmethod
    def _is_variable(cls, value: SecretStr) -> SecretStr:
        if "\0" in value.get_secret_value():
            raise ValueError("has a NUL character, which no environment variable can hold")
        return value


class SecretView(View):
    """A secret, without its value."""

    name: str = Field(description="Name it in `additionalSecrets`; the agent finds it as a variable of this name.")
    updated_at: datetime = Field(description="When its value was last set.")
    searched: bool = Field(
        description="Whether logs and results are searched for its value. One that is a common word, such as "
        "`postgres`, is not: it would be found where it is no secret."
    )
    warning: str | None = Field(description="Why it is not searched for, and what to do; null when it is.")

    @classmethod
    def of(cls, secret: TenantSecret) -> Self:
        """Show a secret."""
        why = secret.not_searched
        warning = f"The value is not searched for: {why}. Agents may print it and put it into results." if why else None
        return cls(name=secret.name, updated_at=secret.updated_at, searched=why is None, warning=warning)
