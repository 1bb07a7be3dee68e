"""Runs the real CDK CLI of the checkout against an instance of the embedded AWS."""

import json
import os
import platform
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w

from outpost_local.errors import DeployError, LocalError
from outpost_local.processes import OnLine, run_shown
from outpost_local.settings import REPOSITORY_ROOT, Settings
from outpost_ops.node import find_node

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_PROD = REPOSITORY_ROOT / "config" / "prod.toml"
_NO_CEILING = 1_000_000
"""USD a month; nothing deployed here costs anything."""


@dataclass(frozen=True)
class CdkApp:
    """Which CDK app is deployed, and which of its stacks."""

    stacks: str = "Outpost-local/*"
    command: str | None = None
    """How the app is started; None: as in the checkout's cdk.json."""
    config: Path = REPOSITORY_ROOT / "config" / "local.toml"
    agents: tuple[str, ...] = ()
    """Agents to deploy beside those of the configuration, with the models that they have in prod."""

    def values(self) -> dict[str, Any]:
        """Return the configuration as its file has it, with these agents; raises LocalError for an unknown one."""
        values = tomllib.loads(self.config.read_text(encoding="utf-8"))
        offered = tomllib.loads(_PROD.read_text(encoding="utf-8"))["agents"] if self.agents else {}
        for agent in self.agents:
            if agent not in values["agents"] and agent not in offered:
                raise LocalError(f"AGENTS names {agent!r}: name some of {', '.join(offered)}")
            values["agents"].setdefault(agent, {"models": offered.get(agent, {}).get("models", {})})
        return values


class Cdk:
    """The CLI with its environment: the instance's endpoint and root credentials, a Node that it supports."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], app: CdkApp) -> None:
        self._settings = settings
        self._environ = environ
        self._app = app

    @property
    def outputs_file(self) -> Path:
        """Where the last deployment's stack outputs are."""
        return self._settings.data_dir / "outputs.json"

    def render_config(self, git_url: str) -> Path:
        """Write the environment's configuration with the values of this machine; return its path."""
        values = self._app.values()
        values["git"]["base_url"] = git_url
        values["git"]["allowed_hosts"] = [urlsplit(git_url).hostname]
        values["architecture"] = _ARCHITECTURES[platform.machine().lower()]
        values.setdefault("cost", {})["ceiling"] = _NO_CEILING  # the file's is for the architecture that it names
        values["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
        rendered = self._settings.data_dir / self._app.config.name
        rendered.write_text(tomli_w.dumps(values))
        return rendered

    def bootstrap(self, on_line: OnLine) -> None:
        """Run `cdk bootstrap`; raises DeployError with the CLI's last lines."""
        # From a folder without cdk.json: the CLI would synthesise the whole app first.
        self._run(
            ["bootstrap", f"aws://{self._settings.account}/{self._settings.region}"],
            on_line,
            cwd=self._settings.data_dir,
        )

    def synth(self, config: Path, on_line: OnLine) -> None:
        """Run `cdk synth` into the data folder; raises DeployError with the CLI's last lines."""
        self._run(["synth", self._app.stacks, "--quiet", "--no-lookups", *self._app_arguments(config)], on_line)

    def deploy(self, config: Path, on_line: OnLine, *, synthesized: bool = False) -> None:
        """Run `cdk deploy`, of what `synth` left if `synthesized`; raises DeployError with the CLI's last lines."""
        arguments = ["deploy", self._app.stacks, "--require-approval", "never", "--no-lookups", "--progress", "events"]
        arguments += ["--concurrency", "4", "--method", "direct", "--outputs-file", str(self.outputs_file)]
        app = ["--app", str(self._settings.cdk_out)] if synthesized else self._app_arguments(config)
        self._run([*arguments, *app], on_line)

    def destroy(self, config: Path, on_line: OnLine, stacks: Sequence[str] = ()) -> None:
        """Run `cdk destroy` of some stacks, else of all; raises DeployError with the CLI's last lines."""
        chosen = stacks or (self._app.stacks,)
        self._run(["destroy", *chosen, "--force", *self._app_arguments(config)], on_line)

    def outputs(self) -> dict[str, dict[str, str]]:
        """Return the stack outputs: stack name -> output name -> value; empty before the first deployment."""
        try:
            outputs: dict[str, dict[str, str]] = json.loads(self.outputs_file.read_text())
        except FileNotFoundError:
            return {}
        return outputs

    def _app_arguments(self, config: Path) -> list[str]:
        command = ["--app", self._app.command] if self._app.command else []
        return [*command, "--context", f"config={config}", "--output", str(self._settings.cdk_out)]

    def _run(self, arguments: Sequence[str], on_line: OnLine, cwd: Path = REPOSITORY_ROOT) -> None:
        argv = [str(find_node()), str(find_cli()), *arguments, "--ci", "--no-color", "--no-notices"]
        code, end = run_shown(argv, on_line, cwd=cwd, env=self._environment())
        if code:
            raise DeployError(f"cdk {arguments[0]} failed with exit code {code}:\n{end}")

    def _environment(self) -> dict[str, str]:
        node = find_node()
        own = {
            "JSII_NODE": str(node),
            "PATH": os.pathsep.join((str(node.parent), os.environ.get("PATH", os.defpath))),
            "CDK_HOME": str(self._settings.data_dir / "cdk-home"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "1",
            # `make synth` and the tests validate the same templates; here it would double the time of a deployment.
            "CDK_VALIDATION": "false",
            "PYTHONPATH": str(REPOSITORY_ROOT),
        }
        # Somebody's real profile or keys must never reach a run against the embedded AWS, nor the other way round.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
        return {**inherited, **self._environ, **own}


def find_cli() -> Path:
    """Return the path of the CDK CLI pinned by package.json; raises LocalError naming the remedy."""
    cli = REPOSITORY_ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not cli.exists():
        raise LocalError("the CDK CLI is not installed: run `make setup` (it needs the npm registry once)")
    return cli
