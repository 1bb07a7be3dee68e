"""Finds the Dockerfile behind an image reference: CDK names every image asset by the hash of its source.

A task definition names `<registry>/cdk-...-container-assets-...:<hash>`; the cloud assembly's `*.assets.json` has
the folder, Dockerfile and stage of that hash.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import ImageNotFound

from outpost_local.dockerfile import ImageConfig, read_image_config
from outpost_local.settings import Settings


@dataclass(frozen=True)
class ImageAsset:
    """The source of one image: build context, Dockerfile and stage."""

    hash: str
    context: Path
    dockerfile: Path
    target: str | None
    build_args: Mapping[str, str]
    names: tuple[str, ...] = ()
    """The references under which task definitions name the image."""


def read_assets(settings: Settings) -> dict[str, ImageAsset]:
    """Return every image asset of an instance's cloud assembly and its nested assemblies, by hash."""
    assets: dict[str, ImageAsset] = {}
    cdk_out = settings.cdk_out
    for manifest in cdk_out.rglob("*.assets.json"):
        if any(part.startswith("asset.") for part in manifest.relative_to(cdk_out).parts):
            continue
        for asset_hash, image in json.loads(manifest.read_text()).get("dockerImages", {}).items():
            source = image["source"]
            context = (manifest.parent / source["directory"]).resolve()
            assets[asset_hash] = ImageAsset(
                hash=asset_hash,
                context=context,
                dockerfile=context / source.get("dockerFile", "Dockerfile"),
                target=source.get("dockerBuildTarget"),
                build_args=source.get("dockerBuildArgs", {}),
                names=tuple(
                    f"{settings.registry}/{destination['repositoryName']}:{destination['imageTag']}"
                    for destination in image.get("destinations", {}).values()
                ),
            )
    return assets


class ImageCatalogue:
    """The images of every deployment this server has seen; a later deployment may still run an earlier one's tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configs: dict[str, ImageConfig] = {}

    def config(self, reference: str) -> ImageConfig:
        """Return what the image runs; raises ImageNotFound naming the remedy, or DockerfileError."""
        asset_hash = reference.partition("@")[0].rpartition(":")[2]
        if asset_hash not in self._configs:
            asset = read_assets(self._settings).get(asset_hash)
            if asset is None:
                raise ImageNotFound(
                    f"image {reference!r} is no asset of {self._settings.cdk_out}; without a container engine only "
                    "images that the CDK app builds can run (ENGINE=docker or ENGINE=podman runs any image)"
                )
            self._configs[asset_hash] = read_image_config(asset.dockerfile, asset.target, asset.build_args)
        return self._configs[asset_hash]


class LocalImages:
    """A docker-py client's `images` without a registry: only what `get` finds exists."""

    def __init__(self, get: Callable[[str], Any]) -> None:
        """`get` returns an image by its reference, or raises ImageNotFound."""
        self.get = get

    def pull(self, reference: str, **_options: Any) -> Any:
        """Return an image that is here already."""
        return self.get(reference)

    def get_registry_data(self, reference: str, **_options: Any) -> None:
        """Raise ImageNotFound."""
        raise ImageNotFound(f"{reference}: images are of the checkout, there is no registry")
