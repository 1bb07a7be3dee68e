"""CloudFormation's functions keep their network and their file system: MiniStack drops both."""

from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created

_KIND = "AWS::Lambda::Function"


def install() -> None:
    """Write them down after each creation and each update of a function."""
    handlers = provisioners._RESOURCE_HANDLERS[_KIND]
    for operation, position in (("create", 1), ("update", 2)):
        handlers[operation] = _placing(handlers[operation], position)


def _placing(handler: Callable[..., Created], position: int) -> Callable[..., Created]:
    """Wrap a handler whose argument at `position` has the function's new properties."""

    def handle(*arguments: Any, **options: Any) -> Created:
        name, attributes = handler(*arguments, **options)
        props, config = arguments[position], lambda_svc._functions[name]["config"]
        if "VpcConfig" in props:
            config["VpcConfig"] = lambda_svc._vpc_config_with_id(props["VpcConfig"])
        if "FileSystemConfigs" in props:
            config["FileSystemConfigs"] = props["FileSystemConfigs"]
        return name, attributes

    return handle
