"""`python -m control_plane`: serve until SIGTERM, then finish what was begun."""

import os
from types import FrameType

import structlog
import uvicorn

from control_plane.app import create_app
from control_plane.bootstrap import Secrets, register_operator
from control_plane.live import Hub
from control_plane.services import Services
from control_plane.telemetry import configure_logging
from outpost.names import Env

DRAIN_SECONDS = 20
"""How long requests may still run after SIGTERM; the load balancer sends no new ones by then."""
KEEP_ALIVE_SECONDS = 75
"""Longer than the load balancer's 60 s, so that it is always the balancer who closes an idle connection."""


def main() -> None:
    """Read secrets, register the operator, serve."""
    configure_logging()
    secrets = Secrets.from_environment()
    services = Services.from_environment(secrets.signing())
    register_operator(services.tenants, secrets.bootstrap_key())
    host, port = os.environ.get(Env.BIND_HOST, "0.0.0.0"), int(os.environ.get("PORT", "8080"))  # noqa: S104 - in a container
    structlog.get_logger().info("starting", version=services.version, host=host, port=port)
    config = uvicorn.Config(
        create_app(services),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # Only the load balancer reaches this port; it says whether the client spoke TLS.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    _Server(config, services.live).run()


class _Server(uvicorn.Server):
    """A server whose event streams end when it is asked to, instead of using up the time for draining."""

    def __init__(self, config: uvicorn.Config, live: Hub) -> None:
        super().__init__(config)
        self._live = live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down."""
        self._live.closing = True
        super().handle_exit(sig, frame)


if __name__ == "__main__":
    main()
