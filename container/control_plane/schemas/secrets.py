"""Tenants' secrets as the API takes and shows them: values go in and never come out."""

from datetime import datetime

from pydantic import Field, SecretStr, field_validator

from control_plane.envelope import Body, View
from outpost.domain.secrets import MAX_VALUE_LENGTH, MIN_VALUE_LENGTH


class SecretRequest(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=MIN_VALUE_LENGTH,
        max_length=MAX_VALUE_LENGTH,
        description="Given to agents as an environment variable, taken out of all they print. Never shown again.",
    )

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
