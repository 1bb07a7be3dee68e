"""What a person has to do something about."""


class MigrationError(Exception):
    """A step cannot go on; the text names what stands in the way and the remedy."""


class LockedError(MigrationError):
    """Another operator's step is running."""
