"""A bad configuration is refused before anything is deployed, and says how to put it right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outpost.config import ConfigError, load
from tests.infra.conftest import ROOT

DEV = (ROOT / "config" / "dev.toml").read_text()


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """The dev environment with a few texts replaced."""
    text = DEV
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "dev.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"10.0.0.0/8"', '"0.0.0.0/0"', ["ingress.cidrs is ['0.0.0.0/0']", "set tls.certificate_arn"]),
        ('["us-east-1a", "us-east-1b"]', '["us-east-1a"]', ["zones is ['us-east-1a']", "name a second zone"]),
        ('"us-east-1b"', '"us-east-1a"', ["zones is", "two or more different zones"]),
        ('"us-east-1b"', '"eu-west-1b"', ["zones is ['eu-west-1b']", "zones of us-east-1"]),
        ("memory = 512", "memory = 600", ["control_plane.memory is 600", "512, 1024, 1536, 2048"]),
        ("cpu = 256", "cpu = 300", ["control_plane.cpu is 300", "256, 512, 1024"]),
        ("warm = 0", "warm = 21", ["agents.shell.warm is 21", "0 to 20"]),
        ("warm = 0", "cpu = 2048\nmemory = 512", ["agents.shell.memory is 512", "pairs with 2048 CPU units"]),
        ("warm = 0", 'models = { flagship = "x" }', ["agents.shell.models", "no provider, hence no secret"]),
        ("[agents.shell]", "[agents.claude]", ["agents.claude.models is {}", "enabled = false"]),
        ("[agents.shell]", "[agents.hal]", ["agents.hal is 'hal'", "'claude', 'codex'"]),
        ('nat = "instance"', 'nat = "gate"', ["network.nat is 'gate'", "none (no way out), instance"]),
        ('nat = "instance"', 'nat = "instance"\nnats = 2', ["network.nats is 2", "one of cidr, nat", "Remove it"]),
        ('"10.61.0.0/16"', '"10.61.0.0/28"', ["network.cidr is '10.61.0.0/28'", "a /16 to a /24"]),
        ('account = "111111111111"', 'account = "1234"', ["account is '1234'", "12 digits"]),
        ('account = "111111111111"', "", ["account is missing", "12 digits", "Add it"]),
        ("logs_days = 30", "logs_days = 31", ["retention.logs_days is 31", "CloudWatch Logs offers"]),
        ("# [tls]", '[tls]\ndomain = "a.example"', ["tls.domain is 'a.example'", "tls.certificate_arn"]),
    ],
)
def test_a_fault_is_named_with_file_field_value_what_is_allowed_and_the_remedy(
    tmp_path: Path, old: str, new: str, said: list[str]
) -> None:
    path = edited(tmp_path, (old, new))

    with pytest.raises(ConfigError) as caught:
        load(path)

    text = str(caught.value)
    assert text.startswith(str(path))
    for part in said:
        assert part in text


def test_a_scaling_range_must_not_be_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control_plane\.maximum is 4; allowed: 5 or more"):
        load(edited(tmp_path, ("minimum = 1", "minimum = 5")))


def test_prod_never_speaks_plain_http(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls\.certificate_arn is missing.*prod never speaks plain HTTP"):
        load(edited(tmp_path, ('name = "dev"', 'name = "prod"')))


def test_with_a_certificate_the_world_may_connect(tmp_path: Path) -> None:
    certificate = "arn:aws:acm:us-east-1:111111111111:certificate/0b1c2d3e-0000-0000-0000-000000000000"

    config = load(
        edited(
            tmp_path,
            ("# [tls]", f'[tls]\ncertificate_arn = "{certificate}"'),
            ('"10.0.0.0/8"', '"0.0.0.0/0"'),
        )
    )

    assert config.tls.certificate_arn == certificate


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, ("memory = 512", "memory = 600"), ('"us-east-1b"', '"us-east-1a"')))

    assert {problem.field for problem in caught.value.problems} == {"zones", "control_plane.memory"}


def test_a_configuration_cannot_be_changed() -> None:
    config = load(ROOT / "config" / "dev.toml")

    with pytest.raises(ValueError, match="frozen"):
        config.account = "222222222222"  # type: ignore[misc]


def test_a_missing_environment_names_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="environments here: dev, local"):
        load(ROOT / "config" / "production.toml")


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dev.toml"
    path.write_text("account = ")

    with pytest.raises(ConfigError, match="is not TOML"):
        load(path)


def test_the_app_ends_with_the_sentence_and_without_a_traceback(tmp_path: Path) -> None:
    path = edited(tmp_path, ('"10.0.0.0/8"', '"0.0.0.0/0"'))

    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={"JSII_NODE": os.environ["JSII_NODE"], "CDK_CONTEXT_JSON": json.dumps({"config": str(path)})},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "ingress.cidrs is ['0.0.0.0/0']" in done.stderr
    assert "Traceback" not in done.stderr
