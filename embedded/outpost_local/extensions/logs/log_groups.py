"""A log group belongs to the stack that makes it, and is made once.

MiniStack lets a stack create a group that exists, and empties it; and a function that still runs when its group is
deleted makes it again, whatever its role allows, so that the next deployment would find the name taken. It also looks
whether a group exists before it creates it: of two threads that do so at once, the second one replaces the group of
the first, with the lines in it.
"""

import threading
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch_logs

from outpost_local.extensions.cloudformation.handlers import Created, Properties, handler
from outpost_local.extensions.patch import around

_LOCK = threading.RLock()


def _create_new(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    with _LOCK:
        if (name := props.get("LogGroupName")) in cloudwatch_logs._log_groups:
            raise ValueError(f"LogGroupName: {name} already exists")
        return create(logical_id, props, stack)


def _emit_to_existing(emit: Callable[..., None], function: dict[str, Any], *arguments: Any, **options: Any) -> None:
    config = function.get("config", function)
    default = f"/aws/lambda/{config['FunctionName']}"  # Lambda creates this one itself
    with _LOCK:
        if config.get("LoggingConfig", {}).get("LogGroup", default) in {default, *cloudwatch_logs._log_groups}:
            emit(function, *arguments, **options)


def _one_at_a_time(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with _LOCK:
        return function(*arguments, **options)


PATCHES = (
    around(
        # The update handler, which replaces a renamed group, calls the function by its module-level name.
        "services.cloudformation.provisioners._cwlogs_create",
        _create_new,
        "a stack takes over a log group that exists",
        handler("AWS::Logs::LogGroup", "create"),
    ),
    around("services.lambda_svc._emit_lambda_logs", _emit_to_existing, "a function makes its deleted log group again"),
    *(
        around(f"services.cloudwatch_logs.{name}", _one_at_a_time, "a log group is created without a lock")
        for name in (
            "_create_log_group",
            "_delete_log_group",
            "_create_log_stream",
            "_delete_log_stream",
            "_put_log_events",
        )
    ),
)
