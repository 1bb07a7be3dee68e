"""`python -m control_plane`: serve until SIGTERM, then finish what was begun."""

import os

import structlog

from control_plane.app import create_app
from control_plane.audit import AuditLog
from control_plane.server import Server, configure
from control_plane.services import Services
from control_plane.settings import Settings, Stores, read_operator_key, read_secret, register_operator
from control_plane.telemetry import configure_logging
from outpost.names import Env


def main() -> None:
    """Read secrets, register the operator, serve."""
    configure_logging()
    settings = Settings.from_environment()
    stores = Stores.from_environment()
    services = Services(settings, stores, AuditLog.from_environment(), read_secret(Env.SIGNING_SECRET))
    register_operator(stores.tenants, read_operator_key())
    host, port = os.environ.get(Env.BIND_HOST, "0.0.0.0"), int(os.environ.get("PORT", "8080"))  # noqa: S104 - in a container
    structlog.get_logger().info("starting", version=settings.version, host=host, port=port)
    Server(configure(create_app(services), host, port), services.streams).run()


if __name__ == "__main__":
    main()
