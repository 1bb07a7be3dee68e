"""What the control plane's and the workers' tasks have in common: image, built from this checkout, and definition."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from outpost_constructs.cdk_enums import architecture_of
from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, acknowledge, acknowledge_wildcard
from outpost_constructs.stack import config_of

_ROOT = Path(__file__).resolve().parents[2]
_CONTEXT = ("pyproject.toml", "uv.lock")
_OWN = {"control_plane": ("clients/outpost_client",), "worker": ()}
"""What only one image needs: the control plane serves the MCP tools, which are made of the client's calls."""


@cache
def release() -> str:
    """Return the version in pyproject.toml, the one place that names it."""
    return str(tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


class OutpostImage(ecr_assets.DockerImageAsset):
    """The image of `container/<package>/Dockerfile` with the repository as context, for the configured architecture.

    The context lists what the image may hold, and nothing else: tests, documents, caches and the other image's code
    change neither the image nor its hash.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        package: str,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
    ) -> None:
        folders = ("outpost", *_OWN[package], f"container/{package}")
        super().__init__(
            scope,
            construct_id,
            directory=str(_ROOT),
            file=f"container/{package}/Dockerfile",
            target=target,
            platform=architecture_of(scope).images,
            build_args={"VERSION": release(), **(build_args or {}), **config_of(scope).images.build_args},
            ignore_mode=IgnoreMode.DOCKER,
            exclude=_everything_but(folders),
        )


def _everything_but(folders: tuple[str, ...]) -> list[str]:
    kept = [f"!{file}" for file in _CONTEXT] + [f"!{folder}/**" for folder in folders]
    return ["**", *kept, "**/__pycache__", "**/*.pyc"]


class OutpostTaskDefinition(ecs.FargateTaskDefinition):
    """A Fargate task of the configured architecture, with a task role and an execution role of its own."""

    def __init__(
        self, scope: Construct, construct_id: str, *, cpu: int, memory: int, family: str | None = None
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            cpu=cpu,
            memory_limit_mib=memory,
            family=family,
            runtime_platform=ecs.RuntimePlatform(
                operating_system_family=ecs.OperatingSystemFamily.LINUX, cpu_architecture=architecture_of(scope).tasks
            ),
        )
        acknowledge(self, "ECS2", "The variables are names of resources; secrets are read at run time, by ARN")
        acknowledge_wildcard(self.obtain_execution_role(), "*", KNOWS_NO_RESOURCE)
