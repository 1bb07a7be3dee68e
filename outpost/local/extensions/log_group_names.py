"""A log group that exists cannot be created by a stack: MiniStack would empty it and hand it over."""

from ministack.services import cloudwatch_logs
from ministack.services.cloudformation import provisioners

from outpost.local.extensions.cloudformation import Created, Properties


def install() -> None:
    """Refuse a name that is taken, as CloudFormation does."""
    create = provisioners._cwlogs_create

    def create_new(logical_id: str, props: Properties, stack: str) -> Created:
        if (name := props.get("LogGroupName")) in cloudwatch_logs._log_groups:
            raise ValueError(f"LogGroupName: {name} already exists")
        created: Created = create(logical_id, props, stack)
        return created

    # The update handler, which replaces a renamed group, calls the function by its module-level name.
    provisioners._cwlogs_create = create_new
    provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]["create"] = create_new
