"""What ends an operator's command with a sentence."""


class OperationError(Exception):
    """A command cannot continue; the text names what stands in the way and the remedy."""
