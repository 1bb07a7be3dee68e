"""The configuration of one environment: `config/<name>.toml`, read once at the edge into one frozen, validated object.

Only the CDK app and `outpost_local` use it; what runs gets environment variables instead.
"""

import tomllib
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from pydantic import ValidationError

from outpost_ops.config.errors import ConfigError, Problem, problems_of
from outpost_ops.config.invariants import broken_invariants
from outpost_ops.config.model import AgentConfig, EnvironmentConfig

__all__ = ["AgentConfig", "ConfigError", "EnvironmentConfig", "conflict", "load"]


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


def conflict(configs: Mapping[Path, EnvironmentConfig]) -> ConfigError | None:
    """Return the error of the first environment that cannot exist beside another one, if there is one."""
    for (_, first), (path, second) in combinations(configs.items(), 2):
        if problems := list(_conflicts(first, second)):
            return ConfigError(path, problems)
    return None


def _conflicts(first: EnvironmentConfig, second: EnvironmentConfig) -> Iterator[Problem]:
    place = (first.account, first.region)
    if first.name == second.name:
        yield Problem("name", second.name, f"a name that no other environment has: not {first.name}", "choose another")
    if first.network.cidr.overlaps(second.network.cidr):
        allowed = f"a network that does not overlap {first.network.cidr} of {first.name}"
        yield Problem("network.cidr", str(second.network.cidr), allowed, "choose another: peered networks must differ")
    if first.migration.enabled and second.migration.enabled and place == (second.account, second.region):
        allowed = f"true in one environment of account {first.account}, region {first.region}: {first.name}"
        remedy = "Set it to false here, or there: both would own the secret outpost/api-endpoint."
        yield Problem("migration.enabled", True, allowed, remedy)
