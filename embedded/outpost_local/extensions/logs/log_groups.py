"""A log group belongs to the stack that makes it, and is made once.

MiniStack lets a stack create a group that exists, and empties it; and a function that still runs when its group is
deleted makes it again, whatever its role allows, so that the next deployment would find the name taken. It also looks
whether a group exists before it creates it: of two threads that do so at once, the second one replaces the group of
the first, with the lines in it.
"""

import threading
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch_logs, lambda_svc
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties

_LOCK = threading.RLock()
_CHANGES = ("_create_log_group", "_delete_log_group", "_create_log_stream", "_delete_log_stream", "_put_log_events")


def install() -> None:
    """Let one thread at a time change groups and streams; a stack's group is new, a function's is never made again."""
    create, emit = provisioners._cwlogs_create, lambda_svc._emit_lambda_logs

    def create_new(logical_id: str, props: Properties, stack: str) -> Created:
        if (name := props.get("LogGroupName")) in cloudwatch_logs._log_groups:
            raise ValueError(f"LogGroupName: {name} already exists")
        created: Created = create(logical_id, props, stack)
        return created

    def emit_to_existing(function: dict[str, Any], *arguments: Any, **options: Any) -> None:
        config = function.get("config", function)
        default = f"/aws/lambda/{config['FunctionName']}"  # Lambda creates this one itself
        if config.get("LoggingConfig", {}).get("LogGroup", default) in {default, *cloudwatch_logs._log_groups}:
            emit(function, *arguments, **options)

    # The update handler, which replaces a renamed group, calls the function by its module-level name.
    provisioners._cwlogs_create = _one_at_a_time(create_new)
    provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]["create"] = provisioners._cwlogs_create
    lambda_svc._emit_lambda_logs = _one_at_a_time(emit_to_existing)
    for name in _CHANGES:
        setattr(cloudwatch_logs, name, _one_at_a_time(getattr(cloudwatch_logs, name)))


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    def locked(*arguments: Any, **options: Any) -> Any:
        with _LOCK:
            return function(*arguments, **options)

    return locked
