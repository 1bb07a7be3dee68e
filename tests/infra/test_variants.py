"""What no environment of `config/` uses yet: TLS, NAT gateways, endpoints, agents with models, retained data."""

import json
from pathlib import Path

import pytest

from app import OutpostApp
from tests.infra.assembly import Assembly, synthesize
from tests.infra.conftest import ROOT

TLS = """cidrs = ["0.0.0.0/0"]
[tls]
domain = "o.example.com"
certificate_arn = "arn:aws:acm:us-east-1:111111111111:certificate/0b1c2d3e-0000-0000-0000-000000000000"
"""
EDITS = {
    'name = "dev"': 'name = "full"',
    'removal = "destroy"': 'removal = "retain"',
    "deletion_protection = false": "deletion_protection = true",
    '# alarm_email = "oncall@example.com"': 'alarm_email = "oncall@example.com"\ncontainer_insights = true',
    'nat = "instance"': 'nat = "gateway"\nnat_count = 2',
    "endpoints = []": 'endpoints = ["ecr.api", "logs"]',
    'cidrs = ["10.0.0.0/8"]': TLS,
    "[agents.shell]": '[agents.claude]\nwarm = 1\nmodels = { flagship = "claude-opus-4-5-20251101" }\n\n[agents.shell]',
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    folder = tmp_path_factory.mktemp("full")
    config = (ROOT / "config" / "dev.toml").read_text()
    for old, new in EDITS.items():
        assert old in config, old
        config = config.replace(old, new)
    Path(folder, "full.toml").write_text(config)
    return synthesize(OutpostApp(outdir=str(folder / "out"), context={"config": str(folder / "full.toml")}))


def test_it_complies_too_and_acknowledges_nothing_in_vain(full: Assembly) -> None:
    assert full.violations() == []
    assert full.given_acknowledgements() == set(full.used_acknowledgements())


def test_with_a_certificate_http_only_redirects(full: Assembly) -> None:
    listeners = {
        listener["Properties"]["Port"]: listener["Properties"]
        for _, listener in full.of_type("AWS::ElasticLoadBalancingV2::Listener")
    }
    outputs = full.templates["Outpost-full-ControlPlane"]["Outputs"]

    assert listeners[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listeners[443]["Certificates"][0]["CertificateArn"] in TLS
    assert "TLS13" in listeners[443]["SslPolicy"]
    assert outputs["ApiUrl"]["Value"] == "https://o.example.com"


def test_retained_data_survives_its_stack(full: Assembly) -> None:
    for kind in (
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
        "AWS::EFS::FileSystem",
        "AWS::SecretsManager::Secret",
    ):
        policies = {(r["DeletionPolicy"], r["UpdateReplacePolicy"]) for _, r in full.of_type(kind)}
        assert policies == {("Retain", "Retain")}, kind
    assert all(table["Properties"]["DeletionProtectionEnabled"] for _, table in full.of_type("AWS::DynamoDB::Table"))


def test_an_agent_with_a_model_gets_its_providers_secret(full: Assembly) -> None:
    (secret,) = (
        place.split("/")[1]
        for place, secret in full.of_type("AWS::SecretsManager::Secret")
        if "SecretString" in secret["Properties"]
    )
    (attempt,) = (
        policy for place, policy in full.of_type("AWS::IAM::Policy") if "/BrokerAttemptRoleDefaultPolicy" in place
    )
    (broker,) = (
        function["Properties"]["Environment"]["Variables"]["OUTPOST_AGENTS"]
        for _, function in full.of_type("AWS::Lambda::Function")
        if function["Properties"]["Handler"].startswith("broker")
    )

    assert secret.startswith("SecretsProviderAnthropic")
    assert secret in json.dumps(attempt)
    assert secret in json.dumps(broker)
    assert "claude-opus-4-5-20251101" in json.dumps(broker)


def test_each_agent_has_its_own_image_target_queue_and_family(full: Assembly) -> None:
    families = {task["Properties"]["Family"] for _, task in full.of_type("AWS::ECS::TaskDefinition") if "-Fleet/" in _}
    targets = {
        image["source"].get("dockerBuildTarget")
        for file in full.folder.glob("assembly-*/*Fleet*.assets.json")
        for image in json.loads(file.read_text())["dockerImages"].values()
    }

    assert families == {"outpost-full-claude", "outpost-full-shell"}
    assert targets == {"claude", "shell"}


def test_nat_gateways_and_endpoints_are_as_configured(full: Assembly) -> None:
    interfaces = [
        e for _, e in full.of_type("AWS::EC2::VPCEndpoint") if e["Properties"]["VpcEndpointType"] == "Interface"
    ]

    assert len(list(full.of_type("AWS::EC2::NatGateway"))) == 2
    assert len(list(full.of_type("AWS::EC2::Instance"))) == 0
    assert {e["Properties"]["ServiceName"].rpartition("us-east-1.")[2] for e in interfaces} == {"ecr.api", "logs"}


def test_the_nat_instance_of_dev_forwards_only_https_of_the_network(assembly: Assembly) -> None:
    (instance,) = (i["Properties"] for _, i in assembly.of_type("AWS::EC2::Instance", "dev"))
    (group,) = (
        g["Properties"]
        for place, g in assembly.of_type("AWS::EC2::SecurityGroup", "dev")
        if "NatSecurityGroup" in place
    )

    assert instance["SourceDestCheck"] is False
    assert [(rule["CidrIp"], rule["FromPort"]) for rule in group["SecurityGroupIngress"]] == [("10.61.0.0/16", 443)]
