"""A log group belongs to the stack that makes it.

MiniStack lets a stack create a group that exists, and empties it; and a function that still runs when its group is
deleted makes it again, whatever its role allows, so that the next deployment would find the name taken.
"""

from typing import Any

from ministack.services import cloudwatch_logs, lambda_svc
from ministack.services.cloudformation import provisioners

from outpost.local.extensions.cloudformation import Created, Properties


def install() -> None:
    """Refuse a name that is taken, as CloudFormation does, and drop what a function says after its group's end."""
    create, emit = provisioners._cwlogs_create, lambda_svc._emit_lambda_logs

    def create_new(logical_id: str, props: Properties, stack: str) -> Created:
        if (name := props.get("LogGroupName")) in cloudwatch_logs._log_groups:
            raise ValueError(f"LogGroupName: {name} already exists")
        created: Created = create(logical_id, props, stack)
        return created

    def emit_to_existing(function: dict[str, Any], *arguments: Any, **options: Any) -> None:
        group = function.get("config", function).get("LoggingConfig", {}).get("LogGroup")
        if group is None or group in cloudwatch_logs._log_groups:
            emit(function, *arguments, **options)

    # The update handler, which replaces a renamed group, calls the function by its module-level name.
    provisioners._cwlogs_create = create_new
    provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]["create"] = create_new
    lambda_svc._emit_lambda_logs = emit_to_existing
