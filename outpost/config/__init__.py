"""The configuration of one environment: `config/<name>.toml`, read once at the edge into one frozen, validated object.

Only the CDK app and `outpost.local` use it; what runs gets environment variables instead.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from outpost.config.errors import ConfigError, Problem, problems_of
from outpost.config.invariants import broken_invariants
from outpost.config.model import AgentConfig, EnvironmentConfig

__all__ = ["AgentConfig", "ConfigError", "EnvironmentConfig", "load", "second_migration"]


def load(path: Path) -> EnvironmentConfig:
    """Read, validate and freeze one environment's file.

    Raises `ConfigError` naming the file and, for each problem, field, value, what is allowed and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml"))) or "none"
        raise ConfigError(
            path, [Problem("(file)", None, f"environments here: {known}", f"cannot be read ({error.strerror})")]
        ) from error
    try:
        config = EnvironmentConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [Problem("(file)", None, "valid TOML", f"is not TOML: {error}")]) from error
    except ValidationError as error:
        raise ConfigError(path, problems_of(error, EnvironmentConfig)) from error
    if problems := broken_invariants(config):
        raise ConfigError(path, problems)
    return config


def second_migration(configs: Mapping[Path, EnvironmentConfig]) -> ConfigError | None:
    """Return the error of a second environment of an account and region that has migration enabled, if there is one."""
    first: dict[tuple[str, str], str] = {}
    for path, config in configs.items():
        place = (config.account, config.region)
        if config.migration.enabled and first.setdefault(place, config.name) != config.name:
            allowed = f"true in one environment of account {config.account}, region {config.region}: {first[place]}"
            remedy = "Set it to false here, or there: both would own the secret outpost/api-endpoint."
            return ConfigError(path, [Problem("migration.enabled", True, allowed, remedy)])
    return None
