"""Ports for servers that take their port as a setting: each belongs to one process of all test runs until it ends.

A port that the kernel gives (`bind` to port 0) may be another runner's or connection's before the server listens on it.
These ports are below those that the kernel gives (`ip_local_port_range` begins at 32768), and a lock on a file claims
one among the runners of this machine.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 20_000, 32_000
_claims: list[IO[str]] = []  # the locks live as long as this process


def free_port() -> int:
    """Claim a port of 127.0.0.1 that nobody listens on."""
    folder = Path(tempfile.gettempdir(), f"outpost-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    chance = random.SystemRandom()  # pytest-randomly seeds the other one alike in every runner
    for _ in range(_LAST - _FIRST):
        port = chance.randrange(_FIRST, _LAST)
        claim = (folder / str(port)).open("w")
        if _locks(claim) and _is_free(port):
            _claims.append(claim)
            return port
        claim.close()
    raise RuntimeError(f"no port between {_FIRST} and {_LAST} is free")


def _locks(claim: IO[str]) -> bool:
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
