"""What every construct of an environment has in common, as the configuration says, in the CDK's vocabulary."""

from typing import NamedTuple

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

from outpost_constructs.stack import config_of


class Architecture(NamedTuple):
    """The processors that functions, tasks and images are for, whatever machine builds them."""

    functions: lambda_.Architecture
    tasks: ecs.CpuArchitecture
    images: ecr_assets.Platform


_ARCHITECTURES = {
    "x86_64": Architecture(lambda_.Architecture.X86_64, ecs.CpuArchitecture.X86_64, ecr_assets.Platform.LINUX_AMD64),
    "arm64": Architecture(lambda_.Architecture.ARM_64, ecs.CpuArchitecture.ARM64, ecr_assets.Platform.LINUX_ARM64),
}


def architecture_of(scope: IConstruct) -> Architecture:
    """Return the configured architecture."""
    return _ARCHITECTURES[config_of(scope).architecture]


def removal_policy(scope: IConstruct) -> RemovalPolicy:
    """Return what becomes of stateful resources with their stack; a failed first create deletes them in any case."""
    retained = config_of(scope).removal == "retain"
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if retained else RemovalPolicy.DESTROY
