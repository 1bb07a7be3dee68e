"""CloudFormation's tables get the encryption and the recovery that their templates ask for: MiniStack drops both."""

from collections.abc import Callable
from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, checked

_KIND = "AWS::DynamoDB::Table"


def install() -> None:
    """Set them after each creation and each update of a table."""
    handlers = provisioners._RESOURCE_HANDLERS[_KIND]
    for operation, position in (("create", 1), ("update", 2)):
        handlers[operation] = _protecting(handlers[operation], position)


def _protecting(handler: Callable[..., Created], position: int) -> Callable[..., Created]:
    """Wrap a handler whose argument at `position` has the table's new properties."""

    def handle(*arguments: Any, **options: Any) -> Created:
        name, attributes = handler(*arguments, **options)
        _protect(name, arguments[position])
        return name, attributes

    return handle


def _protect(name: str, props: Properties) -> None:
    if "SSESpecification" in props:
        dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(
            {**props["SSESpecification"], "Enabled": _true(props["SSESpecification"].get("SSEEnabled"))}
        )
    recovery = props.get("PointInTimeRecoverySpecification", {})
    specification = {"PointInTimeRecoveryEnabled": _true(recovery.get("PointInTimeRecoveryEnabled"))}
    checked(dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": specification}))


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
