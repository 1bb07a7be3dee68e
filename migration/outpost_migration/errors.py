"""What a person has to do something about."""

from outpost_ops.errors import OperationError


class MigrationError(OperationError):
    """A step cannot go on; the text names what stands in the way and the remedy."""


class LockedError(MigrationError):
    """Another operator's step is running."""
