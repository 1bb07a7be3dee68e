"""The idle monthly cost: every resource is priced, paid by use, free or unknown; no environment exceeds its ceiling."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import OutpostApp
from outpost_client.cli.main import app as command_line
from outpost_ops.config import load
from outpost_ops.cost.estimate import Estimate, choices, estimate, warm_workers
from outpost_ops.cost.prices import price_table
from outpost_ops.cost.resources import PRICED
from outpost_ops.templates import Templates, read_assembly
from tests.infra.assembly import Assembly, Resource, synthesize
from tests.infra.conftest import ROOT


def of(resources: dict[str, Resource], warm: dict[str, int] | None = None) -> Estimate:
    return estimate(Templates("test", {"Stack": {"Resources": resources}}), warm or {})


def typed(kind: str, **properties: object) -> Resource:
    return {"Type": f"AWS::{kind}", "Properties": properties}


@pytest.fixture
def estimated(assembly: Assembly, environment: str) -> Estimate:
    (templates,) = (each for each in read_assembly(assembly.folder) if each.environment == environment)
    return estimate(templates, warm_workers(load(ROOT / "config" / f"{environment}.toml")))


def test_no_resource_of_ours_is_of_unknown_price(estimated: Estimate) -> None:
    assert estimated.unknown == []


def test_no_environment_exceeds_its_ceiling(estimated: Estimate) -> None:
    assert 0 < estimated.total <= load(ROOT / "config" / f"{estimated.environment}.toml").cost.ceiling


def test_dev_stays_under_51_dollars_without_waf(assembly: Assembly) -> None:
    (templates,) = (each for each in read_assembly(assembly.folder) if each.environment == "dev")
    found = estimate(templates, warm_workers(load(ROOT / "config" / "dev.toml")))

    assert found.total - found.waf < 51
    assert {"AWS::EC2::Instance", "AWS::ECS::Service", "AWS::Logs::LogGroup"} <= {line.type for line in found.lines}


TABLE = {
    "load balancer": ("ElasticLoadBalancingV2::LoadBalancer",),
    "NAT instance": ("EC2::Instance",),
    "control plane": ("ECS::Service",),
    "functions on a schedule": ("Lambda::Function",),
    "dashboard": ("CloudWatch::Dashboard",),
    "counted log errors and the planner's figures": ("Logs::MetricFilter", "ECS::TaskDefinition"),
    "alarms": ("CloudWatch::Alarm",),
    "key of the audit log": ("KMS::Key",),
    "secrets and logs": ("SecretsManager::Secret", "Logs::LogGroup"),
}
"""How a row of the table in docs/infrastructure.md begins -> the types of the resources that it sums up."""


def test_the_table_of_costs_says_what_dev_costs(assembly: Assembly) -> None:
    (templates,) = (each for each in read_assembly(assembly.folder) if each.environment == "dev")
    found = estimate(templates, warm_workers(load(ROOT / "config" / "dev.toml")))
    page = (ROOT / "docs" / "infrastructure.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (?:\*\*)?([^|*]+?)(?:\*\*)? \| (?:\*\*)?([\d.]+)(?:\*\*)? \|$", page, re.MULTILINE))
    expected = {"at list prices": found.total, "after what AWS gives every account for good": found.after_allowances}
    for row, types in TABLE.items():
        expected[row] = sum(line.usd for line in found.lines if line.type.removeprefix("AWS::") in types)
    said = {next((row for row in expected if text.startswith(row)), text): usd for text, usd in rows.items()}
    assert said == {row: f"{usd:.2f}" for row, usd in expected.items()}
    assert {line.type.removeprefix("AWS::") for line in found.lines} == {
        each for types in TABLE.values() for each in types
    }
    for row, usd in (("alarms", 0.10), ("counted log errors and the planner's figures", 0.30)):
        assert [text for text in rows if text.startswith(row) and f" {expected[row] / usd:.0f} metrics" in text], row


def test_a_type_without_a_price_is_listed_and_never_0() -> None:
    found = of({"A": typed("Redshift::Cluster"), "B": typed("Redshift::Cluster"), "C": typed("EC2::VPC")})

    assert found.unknown == ["AWS::Redshift::Cluster (2)"]
    assert found.lines == []


def test_no_type_is_at_once_priced_paid_by_use_or_free() -> None:
    table = price_table()

    assert not set(PRICED) & table.free.types
    assert not set(table.usage) & table.free.types
    assert set(PRICED) & set(table.usage) == {
        "AWS::ECS::TaskDefinition",  # fixed for warm workers only
        "AWS::KMS::Key",  # fixed for what an idle environment asks
    }


@pytest.mark.parametrize(
    ("resources", "usd"),
    [
        ({"Nat": typed("EC2::NatGateway"), "Address": typed("EC2::EIP")}, 32.85 + 3.65),
        ({"Endpoint": typed("EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=["a", "b"])}, 14.60),
        ({"Endpoint": typed("EC2::VPCEndpoint", VpcEndpointType="Gateway")}, 0),
        ({"Balancer": typed("ElasticLoadBalancingV2::LoadBalancer", Subnets=["a", "b", "c"])}, 16.425 + 3 * 3.65),
        ({"Key": typed("KMS::Key"), "Secret": typed("SecretsManager::Secret")}, 1.40 + 15 * 0.03),
        ({"Acl": typed("WAFv2::WebACL", Rules=[{}, {}, {}])}, 8),
        (
            {
                "Service": typed("ECS::Service", TaskDefinition={"Ref": "Tasks"}),
                "Scaling": typed(
                    "ApplicationAutoScaling::ScalableTarget",
                    MinCapacity=2,
                    ResourceId={"Fn::Join": ["/", ["service", "cluster", {"Fn::GetAtt": ["Service", "Name"]}]]},
                ),
                "Tasks": typed(
                    "ECS::TaskDefinition", Cpu="256", Memory="512", RuntimePlatform={"CpuArchitecture": "ARM64"}
                ),
            },
            2 * 730 * (0.25 * 0.03238 + 0.5 * 0.00356),
        ),
        (
            {
                "Cluster": typed("ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enhanced"}]),
                "Tasks": typed("ECS::TaskDefinition", Cpu="256", Memory="512"),
            },
            28 * 0.30,
        ),
        (
            {
                "Minute": typed(
                    "Events::Rule",
                    ScheduleExpression="rate(1 minute)",
                    Targets=[{"Arn": {"Fn::GetAtt": ["Sweep", "Arn"]}}],
                ),
                "Sweep": typed(
                    "Lambda::Function", Handler="reconciler.handler.handler", MemorySize=512, Architectures=["arm64"]
                ),
            },
            43_800 * 46 * 0.5 * 0.0000133334 + 0.0438 * 0.20,
        ),
    ],
)
def test_what_is_known_is_priced(resources: dict[str, Resource], usd: float) -> None:
    assert of(resources).total == pytest.approx(usd)


def test_what_aws_gives_every_account_for_good_is_told_apart() -> None:
    alarms = {f"Alarm{number}": typed("CloudWatch::Alarm") for number in range(12)}

    found = of(alarms)

    assert found.total == pytest.approx(1.20)
    assert found.after_allowances == pytest.approx(0.20)
    assert [line.usd for line in found.always_free] == [pytest.approx(-1.00)]


def test_warm_workers_are_paid_all_month() -> None:
    task = typed("ECS::TaskDefinition", Family="outpost-test-shell", Cpu="1024", Memory="2048")
    cold, warm = (of({"Tasks": task}, {"outpost-test-shell": count}) for count in (0, 3))

    assert warm.total - cold.total == pytest.approx(3 * 730 * (0.04048 + 2 * 0.004445))


def test_every_price_has_a_source() -> None:
    assert all(
        price.usd > 0 and price.source.startswith("https://aws.amazon.com/") for price in price_table().price.values()
    )


def test_each_choice_is_told_with_its_price() -> None:
    told = choices(load(ROOT / "config" / "prod.toml"))

    assert told["network.nat gateway, each"] == pytest.approx(36.50)
    assert told["network.endpoints, each, in 3 zones"] == pytest.approx(21.90)
    assert all(usd > 0 for usd in told.values())


def test_an_environment_above_its_ceiling_fails_the_synth_with_field_value_and_remedy(tmp_path: Path) -> None:
    text = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8")
    lowered, found_ceilings = re.subn(r"(?m)^ceiling = \d+$", "ceiling = 40", text)
    assert found_ceilings == 1
    cheap = tmp_path / "dear.toml"
    cheap.write_text(lowered.replace('name = "dev"', 'name = "dear"'))

    found = synthesize(OutpostApp(outdir=str(tmp_path / "out"), context={"config": str(cheap)}))

    assert [rule for rule, _ in found.violations()] == ["ceiling"]
    (description,) = (
        violation["description"] for plugin in found.report["pluginReports"] for violation in plugin["violations"]
    )
    assert "config/dear.toml: cost.ceiling is 40" in description
    assert "Raise it, or leave out what costs most: ControlPlane/LoadBalancer" in description


@pytest.mark.full
def test_the_command_prints_the_same_estimate_as_json_and_as_a_table() -> None:
    table, printed = (CliRunner().invoke(command_line, ["cost", "--env", "dev", *more]) for more in ([], ["--json"]))

    found = json.loads(printed.stdout)
    assert (table.exit_code, printed.exit_code) == (0, 0)
    assert f"dev idle: {found['total']:.2f} USD a month" in table.stdout
    assert found["choices"]
    assert "PAID BY USE" in table.stdout
