"""Connections to one replica that are kept, as a load balancer keeps them, until the replica asks to close them."""

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from outpost_constructs.network import CONTROL_PLANE_PORT

CONNECTIONS = 8
PERIOD = 0.1
"""Seconds between two requests on a connection: a node of a load balancer hears of a deregistration later than that."""
CLOSED = "closed in order"


@contextmanager
def kept_connections(address: str, path: str, key: str) -> Iterator[list["Future[str]"]]:
    """Send requests on some connections; yields what becomes of each: `CLOSED`, or what went wrong."""
    stop = threading.Event()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            yield [pool.submit(_use, address, path, key, stop) for _ in range(CONNECTIONS)]
        finally:
            stop.set()


def _use(address: str, path: str, key: str, stop: threading.Event) -> str:
    connection = http.client.HTTPConnection(address, CONTROL_PLANE_PORT, timeout=120)
    connection.connect()
    connection.auto_open = 0  # no second connection, unnoticed
    try:
        while not stop.wait(PERIOD):
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            response.read()
            if response.status != http.HTTPStatus.OK:
                return f"{response.status} {response.reason}"
            if response.will_close:
                return CLOSED
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
    return "never closed"
