"""What every construct of an environment has in common, as the configuration says, in the CDK's vocabulary."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import IConstruct

from outpost_constructs.stack import config_of

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


def log_retention(scope: IConstruct) -> logs.RetentionDays:
    """Return how long log groups keep their events."""
    return _RETENTION[config_of(scope).retention.logs_days]


def audit_retention(scope: IConstruct) -> logs.RetentionDays:
    """Return how long the audit log is kept."""
    return _RETENTION[audit_log_days(scope)]


def audit_log_days(scope: IConstruct) -> int:
    """Return the days of the audit log: the shortest retention on offer that is not shorter than the trail's."""
    return next(days for days in sorted(_RETENTION) if days >= config_of(scope).retention.audit_days)


def removal_policy(scope: IConstruct) -> RemovalPolicy:
    """Return what becomes of stateful resources with their stack; a failed first create deletes them in any case."""
    return {"destroy": RemovalPolicy.DESTROY, "retain": RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE}[
        config_of(scope).removal
    ]


def lambda_architecture(scope: IConstruct) -> lambda_.Architecture:
    """Return the functions' architecture."""
    return {"x86_64": lambda_.Architecture.X86_64, "arm64": lambda_.Architecture.ARM_64}[config_of(scope).architecture]


def lambda_runtime(scope: IConstruct) -> lambda_.Runtime:
    """Return the functions' Python runtime."""
    return lambda_.Runtime(f"python{config_of(scope).python}", lambda_.RuntimeFamily.PYTHON)


def runtime_platform(scope: IConstruct) -> ecs.RuntimePlatform:
    """Return the tasks' operating system and architecture."""
    architecture = {"x86_64": ecs.CpuArchitecture.X86_64, "arm64": ecs.CpuArchitecture.ARM64}[
        config_of(scope).architecture
    ]
    return ecs.RuntimePlatform(operating_system_family=ecs.OperatingSystemFamily.LINUX, cpu_architecture=architecture)


def image_platform(scope: IConstruct) -> ecr_assets.Platform:
    """Return the platform that images are built for, whatever machine builds them."""
    return {"x86_64": ecr_assets.Platform.LINUX_AMD64, "arm64": ecr_assets.Platform.LINUX_ARM64}[
        config_of(scope).architecture
    ]
