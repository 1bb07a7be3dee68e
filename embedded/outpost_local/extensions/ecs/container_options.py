"""Containers run with the options of their definition (gap 7).

MiniStack passes an engine the environment, added capabilities, network, volumes and platform only, so that isolation
and memory limits would be the engine's defaults.
"""

from typing import Any

from ministack.services import ecs

from outpost_local.settings import Engine

Definition = dict[str, Any]
_MIB = 1024 * 1024


def install(engine: Engine) -> None:
    """Add the missing options to what MiniStack starts a container with."""
    build = ecs._build_run_kwargs

    def build_with_options(container: Definition, task: Definition, *rest: Any) -> dict[str, Any]:
        options: dict[str, Any] = build(container, task, *rest)
        if container.get("entryPoint"):
            options["entrypoint"] = container["entryPoint"]
        if engine == "process":
            options.pop("platform", None)  # it runs what is installed here
        else:
            options.update(engine_options(container, task))
        return options

    ecs._build_run_kwargs = build_with_options


def engine_options(container: Definition, task: Definition) -> dict[str, Any]:
    """The docker-py arguments for what a container definition says beyond MiniStack's own."""
    linux = container.get("linuxParameters") or {}
    memory = int(container.get("memory") or task.get("memory") or 0)
    cpu_units = int(container.get("cpu") or task.get("cpu") or 0)
    options = {
        "user": container.get("user"),
        "working_dir": container.get("workingDirectory"),
        "read_only": bool(container.get("readonlyRootFilesystem")),
        "cap_drop": (linux.get("capabilities") or {}).get("drop"),
        "init": bool(linux.get("initProcessEnabled")),
        "ulimits": [
            {"Name": limit["name"], "Soft": int(limit["softLimit"]), "Hard": int(limit["hardLimit"])}
            for limit in container.get("ulimits") or []
        ],
        "mem_limit": memory * _MIB or None,
        "memswap_limit": memory * _MIB or None,  # Fargate has no swap
        "nano_cpus": cpu_units * 1_000_000_000 // 1024 or None,
        "stop_signal": "SIGTERM",
    }
    return {key: value for key, value in options.items() if value not in (None, [], False)}
