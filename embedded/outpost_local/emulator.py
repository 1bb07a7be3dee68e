"""MiniStack as it is, as lagging and as strict as AWS: `python -m outpost_local.emulator`.

For tests that need single services and no deployment. `outpost_local.server` is the whole embedded AWS.
"""

from pathlib import Path

from outpost_local.extensions.install import STRICTNESS, install
from outpost_local.realism import Realism
from outpost_local.settings import Settings


def main() -> None:
    """Serve until a signal asks to stop; MiniStack's own variables configure it."""
    install(STRICTNESS, Settings(Path(), port=0, realism=Realism.from_environment()))
    from ministack import app  # noqa: PLC0415 - what it imports is complete by then

    app.main()


if __name__ == "__main__":
    main()
