"""The embedded AWS: `python -m outpost_local.server SETTINGS`, the settings as JSON (`Settings.to_json`).

MiniStack in this process, with our extensions, on 127.0.0.1 only, IAM enforced, API calls recorded by CloudTrail. The
state lives in memory: a restarted server is an empty account. SIGTERM and SIGINT end it together with every task
process and Lambda worker it started.
"""

import asyncio
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, cast

from outpost_local.container_engine import ContainerEngine, listening_socket, relay
from outpost_local.process_engine import SELF_NAME, ProcessEngine
from outpost_local.settings import ROOT_KEY, Settings
from outpost_local.tls import write_certificate

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


_STOP_SECONDS = 5.0


def main() -> int:
    """Serve until a signal asks to stop."""
    settings = Settings.from_json(sys.argv[1])
    _prepare_folders(settings)
    # MiniStack reads its configuration when it is imported, hence the imports inside functions below.
    os.environ.update(_environment(settings))
    asyncio.run(_serve(settings))
    return 0


def _prepare_folders(settings: Settings) -> None:
    """Empty what an earlier run may have left; nothing of it is read again."""
    for folder in (settings.tasks_dir, settings.logs_dir / "tasks", settings.data_dir / "tmp"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    # The container's harness has a uid of its own; on EFS the access point sets the owner.
    settings.workspaces_dir.mkdir(parents=True, exist_ok=True)
    settings.workspaces_dir.chmod(0o777)
    settings.certificate.parent.mkdir(exist_ok=True)
    write_certificate(settings.certificate, settings.certificate_key)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(settings.port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": settings.account,
        "MINISTACK_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
        "AUTH": "true",
        "CLOUDTRAIL_RECORDING": "1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Lambda code is unpacked below TMPDIR.
        "TMPDIR": str(settings.data_dir / "tmp"),
    }


async def _serve(settings: Settings) -> None:
    from hypercorn.asyncio import serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack import app  # noqa: PLC0415
    from ministack.services import ecs  # noqa: PLC0415

    from outpost_local.extensions.install import all_extensions, install  # noqa: PLC0415

    install(all_extensions(), settings)
    engine = ProcessEngine(settings) if settings.engine == "process" else ContainerEngine(settings)
    ecs._docker = engine
    os.environ["HOSTNAME"] = SELF_NAME
    config = Config()
    config.bind = [f"127.0.0.1:{settings.port}"]
    if settings.tls_port:
        config.insecure_bind, config.bind = config.bind, [f"127.0.0.1:{settings.tls_port}"]
        config.certfile, config.keyfile = str(settings.certificate), str(settings.certificate_key)
    if isinstance(engine, ContainerEngine):
        # Containers cannot reach 127.0.0.1; only they reach the address of their network.
        gateway = listening_socket(engine.bridge.gateway, settings.port)
        (config.insecure_bind if settings.tls_port else config.bind).append(f"fd://{gateway.detach()}")
        await relay(listening_socket(engine.bridge.gateway, settings.git_port), settings.git_port)
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def stopped() -> None:
        await stop.wait()
        # While the tasks end they still need AWS.
        await asyncio.to_thread(_stop_children, engine)

    await serve(cast("ASGIFramework", app.app), config, shutdown_trigger=stopped)
    # Threads that still wait for something (a long poll, a timer) would hold up the interpreter's own exit.
    sys.stdout.flush()
    os._exit(0)


def _stop_children(engine: ProcessEngine | ContainerEngine) -> None:
    from ministack.core import lambda_runtime  # noqa: PLC0415

    try:
        engine.stop_all(_STOP_SECONDS)
    finally:
        lambda_runtime.reset()


if __name__ == "__main__":
    sys.exit(main())
