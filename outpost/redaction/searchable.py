"""Which values can be searched for: a short or common value is found where it is no secret."""

MIN_LENGTH = 8
"""Characters."""

_COMMON = frozenset(
    (
        *("administrator", "changeme", "development", "disabled", "localhost", "mongodb", "password", "postgres"),
        *("postgresql", "production", "rabbitmq", "staging"),
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1"),
    )
)


def searchable(value: str) -> str | None:
    """Return why `value` cannot be searched for, or None when it can."""
    if len(value) < MIN_LENGTH:
        return f"it is shorter than {MIN_LENGTH} characters"
    if value.lower() in _COMMON:
        return "it is a common word"
    return None
