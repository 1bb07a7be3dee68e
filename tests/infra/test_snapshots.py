"""The templates as they are: a change shows as a change of CloudFormation, to be read as one."""

import json
import re

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT, SHIPPED

# These two differ most: a NAT instance and the default key; every option switched on. The others mix their parts.
ENVIRONMENTS = ("dev", "prod")
STACKS = ("Network", "Data", "Audit", "Fleet", "ControlPlane", "Observability", "Migration")
RELEASE = re.compile(r'("OUTPOST_VERSION"(?:, "Value")?: )"[^"]+"')
HASH = re.compile(r"\b[0-9a-f]{64}\b")
STATEFUL = (
    "AWS::Backup::BackupVault",
    "AWS::DynamoDB::Table",
    "AWS::EC2::VPC",
    "AWS::ECS::Cluster",
    "AWS::EFS::AccessPoint",
    "AWS::EFS::FileSystem",
    "AWS::KMS::Key",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
)


def masked(template: Resource) -> object:
    """Hide what changes with every change of code, and what the CDK adds to every template."""
    ours = {key: value for key, value in template.items() if key != "Rules"}
    ours["Parameters"] = {k: value for k, value in template.get("Parameters", {}).items() if k != "BootstrapVersion"}
    return json.loads(RELEASE.sub(r'\1"<release>"', HASH.sub("<asset>", json.dumps(ours))))


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_templates_change_only_on_purpose(
    assembly: Assembly, environment: str, stack: str, snapshot: SnapshotAssertion
) -> None:
    template = assembly.templates.get(f"Outpost-{environment}-{stack}", {})

    assert masked(template) == snapshot.use_extension(JSONSnapshotExtension)


def test_there_are_exactly_the_stacks_of_the_design(assembly: Assembly) -> None:
    environments = [load(path) for path in (ROOT / "config").glob("*.toml")]
    designed = {f"Outpost-{config.name}-{stack}" for config in environments for stack in STACKS}
    without = {f"Outpost-{config.name}-Migration" for config in environments if not config.migration.enabled}

    assert set(assembly.templates) == designed - without


def test_what_holds_state_keeps_its_logical_id(assembly: Assembly, snapshot: SnapshotAssertion) -> None:
    """A changed id replaces the resource, and its data with it."""
    pinned = {kind: sorted(place for name in SHIPPED for place, _ in assembly.of_type(kind, name)) for kind in STATEFUL}

    assert pinned == snapshot.use_extension(JSONSnapshotExtension)
