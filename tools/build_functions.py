"""Build the functions' code for this machine and every environment in `config/`: then no synth needs a network.

Run by `make setup`, again only when dependencies or environments changed.
"""

import platform
import sys
from pathlib import Path

from outpost_ops.bundle import BundleError, build_functions
from outpost_ops.config import ConfigError, load


def targets(folder: Path) -> set[tuple[str, str]]:
    """Return the pairs of architecture and Python version to build for. Raises `ConfigError`."""
    host = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environments = [load(path) for path in sorted(folder.glob("*.toml")) if path.stem != "local"]
    return {(host, version), *((config.architecture, config.python) for config in environments)}


def main() -> None:
    """Fill `build/`, one line for each target."""
    try:
        for architecture, python in sorted(targets(Path("config"))):
            print(f"  {architecture}, Python {python}: {build_functions(architecture, python).name}")
    except (BundleError, ConfigError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
