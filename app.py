"""The CDK app. `cdk synth` runs it; importing it synthesizes nothing.

Which environments: `-c config=<file>` for one file, `-c environment=<name>` for `config/<name>.toml`, else every file
in `config/`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App

from outpost.bundle import BundleError
from outpost.config import ConfigError, load, second_migration
from stacks.stage import OutpostStage

ROOT = Path(__file__).resolve().parent


class OutpostApp(App):
    """A stage for each environment. Needs no credentials, no git and no network.

    The feature flags come from cdk.json however the app is started: the CDK itself reads that file only in its CLI.
    """

    def __init__(self, *, outdir: str | None = None, context: Mapping[str, Any] | None = None) -> None:
        flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        super().__init__(outdir=outdir, context={**flags, **(context or {})}, analytics_reporting=False)
        configs = {path: load(path) for path in self._files()}
        if problem := second_migration(configs):
            raise problem
        self.stages = [OutpostStage(self, config=config) for config in configs.values()]

    def _files(self) -> list[Path]:
        if config := self.node.try_get_context("config"):
            return [ROOT / config]
        if name := self.node.try_get_context("environment"):
            return [ROOT / "config" / f"{name}.toml"]
        return sorted((ROOT / "config").glob("*.toml"))


if __name__ == "__main__":
    try:
        app = OutpostApp()
    except (ConfigError, BundleError) as error:
        sys.exit(str(error))
    app.synth()
