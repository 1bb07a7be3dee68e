"""OutpostControls: the seven controls as rules over an environment's templates, pure; each yields what breaks it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from outpost_ops.controls.catalogue import Control
from outpost_ops.controls.network_rules import flow_logs, private_tasks, security_groups
from outpost_ops.controls.policies import public_statements, unset_flags
from outpost_ops.templates import Resource, Templates


class Finding(NamedTuple):
    """A resource that breaks a control, and how."""

    control: Control
    resource: Resource
    message: str


Rule = Callable[[Templates], Iterator[tuple[Resource, str]]]


def findings(templates: Templates) -> list[Finding]:
    """Return everything in the templates that breaks a control."""
    return [Finding(control, *found) for control, rule in RULES.items() for found in rule(templates)]


def _trail(templates: Templates) -> Iterator[tuple[Resource, str]]:
    trails = templates.of_type("AWS::CloudTrail::Trail")
    if not trails:
        # What would be recorded is named, as there is no trail to name.
        yield from ((bucket, "no trail records it") for bucket in templates.of_type("AWS::S3::Bucket"))
    for trail in trails:
        for switch in ("IsLogging", "EnableLogFileValidation", "IsMultiRegionTrail"):
            if trail.properties.get(switch) is not True:
                yield trail, f"{switch} is not true"


def _encryption(templates: Templates) -> Iterator[tuple[Resource, str]]:
    for bucket in templates.of_type("AWS::S3::Bucket"):
        rules = bucket.properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        if not rules:
            yield bucket, "BucketEncryption is missing"
        for rule in rules:
            algorithm = rule.get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
            if algorithm == "aws:kms" and rule.get("BucketKeyEnabled") is not True:
                yield bucket, "BucketKeyEnabled is not true: each object would cost a call of KMS"


def _public_access(templates: Templates) -> Iterator[tuple[Resource, str]]:
    for bucket in templates.of_type("AWS::S3::Bucket"):
        if unset := unset_flags(bucket.properties.get("PublicAccessBlockConfiguration", {})):
            yield bucket, f"PublicAccessBlockConfiguration lacks {', '.join(unset)}"
    for policy in templates.of_type("AWS::S3::BucketPolicy"):
        for statement in public_statements(policy.properties["PolicyDocument"]):
            yield policy, f"allows {statement['Action']} to everybody"


def _tables(templates: Templates) -> Iterator[tuple[Resource, str]]:
    protected = [
        resource
        for protection in templates.of_type("Custom::DeletionProtection")
        for resource in protection.targets(protection.properties["Protected"])
    ]
    for table in templates.of_type("AWS::DynamoDB::Table"):
        if table.properties.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield table, "SSESpecification.SSEEnabled is not true"
        recovery = table.properties.get("PointInTimeRecoverySpecification", {})
        if recovery.get("PointInTimeRecoveryEnabled") is not True:
            yield table, "PointInTimeRecoveryEnabled is not true"
        if templates.environment == "prod" and table not in protected:
            yield table, "Custom::DeletionProtection does not protect it in prod"


RULES: dict[Control, Rule] = {
    Control.TRAIL: _trail,
    Control.ENCRYPTION: _encryption,
    Control.PUBLIC_ACCESS: _public_access,
    Control.FLOW_LOGS: flow_logs,
    Control.SECURITY_GROUPS: security_groups,
    Control.PRIVATE_TASKS: private_tasks,
    Control.TABLES: _tables,
}
