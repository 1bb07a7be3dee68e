"""The CDK app. `cdk synth` runs it; importing it synthesizes nothing.

Which environments: `-c config=<file>` for one file, `-c environment=<name>` for `config/<name>.toml`, else every file
in `config/`.
"""

import json
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from aws_cdk import App, Validations

from outpost.domain.models import ModelsError
from outpost_constructs.validations import AwsRules, CostCeiling, OutpostControls
from outpost_ops.config import ConfigError, EnvironmentConfig, conflict, load
from outpost_ops.config.models import model_warnings, retired_models, today
from outpost_ops.errors import OperationError
from stacks.stage import OutpostStage

ROOT = Path(__file__).resolve().parent


class OutpostApp(App):
    """A stage for each environment. Needs no credentials, no git and no network.

    The feature flags come from cdk.json however the app is started: the CDK itself reads that file only in its CLI.
    """

    def __init__(self, *, outdir: str | None = None, context: Mapping[str, Any] | None = None) -> None:
        flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
        super().__init__(outdir=outdir, context={**flags, **(context or {})}, analytics_reporting=False)
        self._configs = self._read_configs()
        configs = list(self._configs.values())
        Validations.of(self).add_plugins(OutpostControls(), AwsRules(), CostCeiling(configs))
        self.stages = [OutpostStage(self, config=config) for config in configs]

    def check_models(self, day: date) -> list[str]:
        """Return the warnings of the configured models. Raises `ConfigError` when one has retired."""
        for path, config in self._configs.items():
            if problems := retired_models(config, day):
                raise ConfigError(path, problems)
        return [f"{path}: {each}" for path, config in self._configs.items() for each in model_warnings(config, day)]

    def _read_configs(self) -> dict[Path, EnvironmentConfig]:
        """Read what to synthesize. The files in `config/` stand beside each other, so all of them must be good."""
        if file := self.node.try_get_context("config"):
            return {ROOT / file: load(ROOT / file)}
        configs = {path: load(path) for path in sorted((ROOT / "config").glob("*.toml"))}
        if problem := conflict(configs):
            raise problem
        if name := self.node.try_get_context("environment"):
            path = ROOT / "config" / f"{name}.toml"
            return {path: configs[path] if path in configs else load(path)}
        return configs


if __name__ == "__main__":
    try:
        app = OutpostApp()
        # Not as annotations: --strict makes errors of those.
        for warning in app.check_models(today()):
            print(f"warning: {warning}", file=sys.stderr)
    except (OperationError, ModelsError) as error:
        sys.exit(str(error))
    app.synth()
