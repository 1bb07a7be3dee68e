"""What only some environments have: TLS, NAT gateways, endpoints, agents with models, an own key, backups, locks."""

import json
import re

import pytest

from outpost.domain.agents import CATALOGUE
from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT

OWN_KEY = ("staging", "prod")
STATEFUL = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::EFS::FileSystem", "AWS::SecretsManager::Secret")


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_with_a_certificate_http_only_redirects(assembly: Assembly, name: str) -> None:
    listeners = {
        listener["Properties"]["Port"]: listener["Properties"]
        for _, listener in assembly.of_type("AWS::ElasticLoadBalancingV2::Listener", name)
    }
    outputs = assembly.templates[f"Outpost-{name}-ControlPlane"]["Outputs"]

    assert listeners[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listeners[443]["Certificates"][0]["CertificateArn"]
    assert "TLS13" in listeners[443]["SslPolicy"]
    assert outputs["ApiUrl"]["Value"] == f"https://{load(ROOT / 'config' / f'{name}.toml').tls.domain}"


def test_a_zone_gets_the_domains_record_and_a_certificate(assembly: Assembly) -> None:
    (record,) = (r["Properties"] for _, r in assembly.of_type("AWS::Route53::RecordSet", "prod"))
    (certificate,) = (c["Properties"] for _, c in assembly.of_type("AWS::CertificateManager::Certificate", "prod"))

    assert record["Name"].rstrip(".") == certificate["DomainName"] == "outpost.example.com"
    assert record["HostedZoneId"] == certificate["DomainValidationOptions"][0]["HostedZoneId"] == "Z" + 19 * "0"
    assert "AliasTarget" in record


def test_prods_data_survives_its_stacks(assembly: Assembly) -> None:
    for kind in (*STATEFUL, "AWS::KMS::Key", "AWS::Backup::BackupVault"):
        policies = {(r["DeletionPolicy"], r["UpdateReplacePolicy"]) for _, r in assembly.of_type(kind, "prod")}
        assert policies == {("RetainExceptOnCreate", "Retain")}, kind
    protected = json.dumps([each for _, each in assembly.of_type("Custom::DeletionProtection", "prod")])
    for kind in ("AWS::DynamoDB::Table", "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        for place, _ in assembly.of_type(kind, "prod"):
            assert f'"{place.partition("/")[2]}"' in protected, place


@pytest.mark.parametrize("name", OWN_KEY)
def test_one_key_of_ours_encrypts_all_data_and_is_rotated(assembly: Assembly, name: str) -> None:
    (key,) = (key for _, key in assembly.of_type("AWS::KMS::Key", name) if "KeySpec" not in key["Properties"])
    resources = [*(r for kind in STATEFUL for r in assembly.of_type(kind, name))]
    for kind in ("AWS::CloudTrail::Trail", "AWS::Backup::BackupVault"):
        resources += assembly.of_type(kind, name)
    # Access logs can only be delivered to a bucket with S3's own key; the endpoint's secret holds an address.
    foreign = {place.split("/")[1] for place, resource in resources if "Key" not in json.dumps(_encryption(resource))}

    assert key["Properties"]["EnableKeyRotation"] is True
    assert {re.sub("[0-9A-F]{8}$", "", name) for name in foreign} <= {"AccessLogs", "Endpoint"}


def _encryption(resource: Resource) -> object:
    names = ("SSESpecification", "BucketEncryption", "KmsKeyId", "KMSKeyId", "EncryptionKeyArn")
    return [value for key, value in resource["Properties"].items() if key in names]


@pytest.mark.parametrize("name", OWN_KEY)
def test_tables_and_files_are_copied_each_night(assembly: Assembly, name: str) -> None:
    (plan,) = (p["Properties"]["BackupPlan"] for _, p in assembly.of_type("AWS::Backup::BackupPlan", name))
    (selection,) = (s["Properties"] for _, s in assembly.of_type("AWS::Backup::BackupSelection", name))
    (rule,) = plan["BackupPlanRule"]
    chosen = json.dumps(selection["BackupSelection"]["Resources"])

    assert rule["Lifecycle"]["DeleteAfterDays"] == load(ROOT / "config" / f"{name}.toml").retention.backup_days
    assert all(part in chosen for part in ("Dispatches", "Tenants", "WorkspaceRows", "FileSystem"))
    assert "Workers" not in chosen


def test_prods_trails_archive_and_backups_cannot_be_deleted(assembly: Assembly) -> None:
    locked = {
        place.split("/")[1][:-8]: bucket["Properties"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        for place, bucket in assembly.of_type("AWS::S3::Bucket", "prod")
        if "ObjectLockConfiguration" in bucket["Properties"]
    }
    (vault,) = (v["Properties"] for _, v in assembly.of_type("AWS::Backup::BackupVault", "prod"))

    assert locked == {"TrailBucket": {"Days": 365, "Mode": "GOVERNANCE"}}
    assert "backup:DeleteRecoveryPoint" in json.dumps(vault["AccessPolicy"])


def test_agents_with_models_get_their_providers_secrets(assembly: Assembly) -> None:
    agents = load(ROOT / "config" / "prod.toml").enabled_agents
    secrets = [
        place.split("/")[1]
        for place, secret in assembly.of_type("AWS::SecretsManager::Secret", "prod")
        if "SecretString" in secret["Properties"]
    ]
    (attempt,) = (
        policy
        for place, policy in assembly.of_type("AWS::IAM::Policy", "prod")
        if "/BrokerAttemptRoleDefaultPolicy" in place
    )
    broker = json.dumps([p for place, p in assembly.of_type("AWS::SSM::Parameter", "prod") if "-Fleet/Agents" in place])

    assert {name[:-8] for name in secrets} == {
        f"SecretsProvider{(CATALOGUE[agent].provider or '').capitalize()}" for agent in agents
    }
    for name in secrets:
        assert name in json.dumps(attempt)
        assert name in broker
    for settings in agents.values():
        assert all(model in broker for model in settings.models.values())


def test_each_agent_has_its_own_queue_and_family(assembly: Assembly, environment: str) -> None:
    agents = load(ROOT / "config" / f"{environment}.toml").enabled_agents
    fleet = assembly.templates[f"Outpost-{environment}-Fleet"]["Resources"].values()
    families = [r["Properties"]["Family"] for r in fleet if r["Type"] == "AWS::ECS::TaskDefinition"]
    queues = [
        place.split("/")[1] for place, _ in assembly.of_type("AWS::SQS::Queue", environment) if "/WakeUps" in place
    ]

    assert sorted(families) == sorted(f"outpost-{environment}-{agent}" for agent in agents)
    assert len(queues) == 2 * len(agents)  # each with its dead letters


def test_nat_gateways_and_endpoints_are_as_configured(assembly: Assembly, environment: str) -> None:
    network = load(ROOT / "config" / f"{environment}.toml").network
    interfaces = [
        e["Properties"]
        for _, e in assembly.of_type("AWS::EC2::VPCEndpoint", environment)
        if e["Properties"]["VpcEndpointType"] == "Interface"
    ]
    gateways = len(list(assembly.of_type("AWS::EC2::NatGateway", environment)))
    instances = len(list(assembly.of_type("AWS::EC2::Instance", environment)))

    wanted = {"none": (0, 0), "gateway": (network.nat_count, 0), "instance": (0, network.nat_count)}
    assert (gateways, instances) == wanted[network.nat]
    assert {e["ServiceName"].rpartition("us-east-1.")[2] for e in interfaces} == set(network.endpoints)


def test_the_nat_instance_of_dev_forwards_only_https_of_the_network(assembly: Assembly) -> None:
    (instance,) = (i["Properties"] for _, i in assembly.of_type("AWS::EC2::Instance", "dev"))
    (group,) = (
        g["Properties"]
        for place, g in assembly.of_type("AWS::EC2::SecurityGroup", "dev")
        if "NatSecurityGroup" in place
    )

    assert instance["SourceDestCheck"] is False
    assert [(rule["CidrIp"], rule["FromPort"]) for rule in group["SecurityGroupIngress"]] == [("10.61.0.0/16", 443)]


@pytest.mark.parametrize(("name", "secret"), [("staging", "outpost/forge-token"), ("prod", "outpost/forge-app-key")])
def test_only_the_broker_reads_what_tokens_of_the_forge_are_made_with(
    assembly: Assembly, name: str, secret: str
) -> None:
    grants = [
        (reference["Ref"], statement["Action"], statement["Resource"])
        for _, policy in assembly.of_type("AWS::IAM::Policy", name)
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if secret in json.dumps(statement["Resource"])
        for reference in policy["Properties"]["Roles"]
    ]
    git = load(ROOT / "config" / f"{name}.toml").git
    told = {
        re.sub("[0-9A-F]{8}$", "", place.rpartition("/")[2])
        for kind in ("AWS::Lambda::Function", "AWS::ECS::TaskDefinition")
        for place, resource in assembly.of_type(kind, name)
        if secret in json.dumps(resource)
    }

    assert [(re.sub("[0-9A-F]{8}$", "", role), action, arn) for role, action, arn in grants] == [
        ("BrokerFunctionRole", "secretsmanager:GetSecretValue", git.app.key_secret if git.app else git.token_secret)
    ]
    assert told == {"BrokerFunction"}
