"""MiniStack as it is, as lagging and as strict as AWS: `python -m outpost_local.emulator`.

For tests that need single services and no deployment. `outpost_local.server` is the whole embedded AWS.
"""

from outpost_local.extensions.strictness import install_strictness
from outpost_local.realism import Realism


def main() -> None:
    """Serve until a signal asks to stop; MiniStack's own variables configure it."""
    install_strictness(Realism.from_environment())
    from ministack import app  # noqa: PLC0415 - what it imports is complete by then

    app.main()


if __name__ == "__main__":
    main()
