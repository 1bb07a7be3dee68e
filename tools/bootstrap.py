"""Creates or updates the CDK's bootstrap stack in the account and region of an environment.

`python -m tools.bootstrap ENVIRONMENT`, with credentials that administer the account. With the CDK's default qualifier,
which its app uses, and no trust in other accounts: docs/github.md has the roles of the same account that deploy.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import boto3

from outpost_ops.config import ConfigError, load
from outpost_ops.verify.deployed import Deployed, WrongAccountError

CONFIG = Path(__file__).resolve().parents[1] / "config"


def main(environment: str) -> None:
    """Bootstrap for an environment of `config/`; exits with the CDK CLI's code."""
    try:
        config = load(CONFIG / f"{environment}.toml")
        Deployed(config, boto3.Session(region_name=config.region)).require_account()
    except (ConfigError, WrongAccountError) as error:
        raise SystemExit(str(error)) from error
    argv = ["cdk", "bootstrap", f"aws://{config.account}/{config.region}"]
    # In a folder without cdk.json, else the CLI runs the app first.
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(subprocess.run(argv, cwd=folder, check=False).returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
