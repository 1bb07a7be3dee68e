"""CloudFormation's tables get the encryption and the recovery that their templates ask for: MiniStack drops both."""

from ministack.services import dynamodb

from outpost_local.extensions.cloudformation.handlers import Properties, after_write, checked, is_true


def _protect(name: str, props: Properties) -> None:
    if "SSESpecification" in props:
        dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(
            {**props["SSESpecification"], "Enabled": is_true(props["SSESpecification"].get("SSEEnabled"))}
        )
    recovery = props.get("PointInTimeRecoverySpecification", {})
    specification = {"PointInTimeRecoveryEnabled": is_true(recovery.get("PointInTimeRecoveryEnabled"))}
    checked(dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": specification}))


PATCHES = after_write("AWS::DynamoDB::Table", _protect, "tables lose their encryption")
