"""Container images, built by `cdk deploy` from this checkout."""

from collections.abc import Mapping

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from constructs import Construct

from outpost_constructs.cdk_enums import image_platform
from outpost_constructs.release import ROOT, release
from outpost_constructs.stack import config_of

_CONTEXT = ("pyproject.toml", "uv.lock")
_OWN = {"control_plane": ("clients/outpost_client",), "worker": ()}
"""What only one image needs: the control plane serves the MCP tools, which are made of the client's calls."""


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
            directory=str(ROOT),
            file=f"container/{package}/Dockerfile",
            target=target,
            platform=image_platform(scope),
            build_args={"VERSION": release(), **(build_args or {}), **config_of(scope).images.build_args},
            ignore_mode=IgnoreMode.DOCKER,
            exclude=_everything_but(folders),
        )


def _everything_but(folders: tuple[str, ...]) -> list[str]:
    kept = [f"!{file}" for file in _CONTEXT] + [f"!{folder}/**" for folder in folders]
    return ["**", *kept, "**/__pycache__", "**/*.pyc"]
