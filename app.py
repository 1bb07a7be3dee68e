"""The CDK app. `cdk synth` runs it; importing it synthesizes nothing.

Which environments: `-c config=<file>` for one file, `-c environment=<name>` for `config/<name>.toml`, else every file
in `config/`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Validations

from outpost.bundle import BundleError
from outpost.config import ConfigError, EnvironmentConfig, conflict, load
from outpost_constructs.aws_rules import AwsRules
from outpost_constructs.controls import OutpostControls
from outpost_constructs.cost_ceiling import CostCeiling
from stacks.stage import OutpostStage

ROOT = Path(__file__).resolve().parent


class OutpostApp(App):
    """A stage for each environment. Needs no credentials, no git and no network.

    The feature flags come from cdk.json however the app is started: the CDK itself reads that file only in its CLI.
    """

    def __init__(self, *, outdir: str | None = None, context: Mapping[str, Any] | None = None) -> None:
        flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        super().__init__(outdir=outdir, context={**flags, **(context or {})}, analytics_reporting=False)
        configs = self._configs()
        Validations.of(self).add_plugins(OutpostControls(), AwsRules(), CostCeiling(configs))
        self.stages = [OutpostStage(self, config=config) for config in configs]

    def _configs(self) -> list[EnvironmentConfig]:
        """Read what to synthesize. The files in `config/` stand beside each other, so all of them must be good."""
        if file := self.node.try_get_context("config"):
            return [load(ROOT / file)]
        configs = {path: load(path) for path in sorted((ROOT / "config").glob("*.toml"))}
        if problem := conflict(configs):
            raise problem
        if name := self.node.try_get_context("environment"):
            path = ROOT / "config" / f"{name}.toml"
            return [configs[path] if path in configs else load(path)]
        return list(configs.values())


if __name__ == "__main__":
    try:
        app = OutpostApp()
    except (ConfigError, BundleError) as error:
        sys.exit(str(error))
    app.synth()
