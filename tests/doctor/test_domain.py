"""The certificate and the hosted zone of the configured domain."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outpost_ops.doctor.domain import covers, evaluate_certificate
from outpost_ops.doctor.finding import Level
from tests.doctor.conftest import DOMAIN, Case
from tests.doctor.test_account import deployed

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ISSUED = {
    "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/1",
    "DomainName": DOMAIN,
    "Status": "ISSUED",
    "Type": "AMAZON_ISSUED",
    "NotAfter": NOW + timedelta(days=300),
}


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, "issued"),
        ({"DomainName": "other.example", "SubjectAlternativeNames": ["*.example.com"]}, Level.OK, "issued"),
        ({"Status": "PENDING_VALIDATION"}, Level.FAILURE, "is PENDING_VALIDATION"),
        ({"DomainName": "other.example"}, Level.FAILURE, f"covers other.example, not {DOMAIN}"),
        ({"NotAfter": NOW + timedelta(days=5)}, Level.WARNING, "ends on 2026-12-02"),
        ({"NotAfter": NOW - timedelta(days=5)}, Level.FAILURE, "ends on 2026-11-22"),
    ],
)
def test_a_certificate_is_issued_covers_the_domain_and_lasts(changes: dict[str, Any], level: Level, said: str) -> None:
    finding = evaluate_certificate(ISSUED | changes, DOMAIN, NOW)

    assert (finding.level, bool(finding.remedy)) == (level, level is not Level.OK)
    assert said in finding.message


def test_a_wildcard_covers_one_label() -> None:
    assert covers("*.example.com", "a.example.com")
    assert not covers("*.example.com", "a.b.example.com")
    assert not covers("*.example.com", "example.com")


def certified(case: Case, arn: str) -> Case:
    return case.having(tls=case.config.tls.model_copy(update={"certificate_arn": arn, "zone_id": None}))


def test_a_certificate_that_does_not_exist(case: Case) -> None:
    arn = "arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"

    finding = certified(case, arn).only("certificate")

    assert f"request-certificate --domain-name {DOMAIN}" in finding.remedy


def test_a_certificate_of_another_domain(case: Case) -> None:
    acm = case.client("acm")
    for domain, well in ((DOMAIN, True), ("other.example", False)):
        arn = acm.request_certificate(DomainName=domain, ValidationMethod="DNS")["CertificateArn"]
        assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED"
        if well:
            assert certified(case, arn).found() == []
        else:
            assert "not outpost.example.com" in certified(case, arn).only("certificate").message


@pytest.fixture
def zones(case: Case) -> Iterator[dict[str, str]]:
    """Zones of another domain and of a private network."""
    route53 = case.client("route53")
    other = route53.create_hosted_zone(Name="other.example", CallerReference="2")["HostedZone"]["Id"]
    vpc = {"VPCRegion": "us-east-1", "VPCId": case.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]}
    private = route53.create_hosted_zone(
        Name="example.com", CallerReference="3", VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )["HostedZone"]["Id"]
    found = {"other": other, "private": private}
    yield {name: zone.rpartition("/")[2] for name, zone in found.items()}
    for zone in found.values():
        route53.delete_hosted_zone(Id=zone)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Z00000000000000000", "does not exist"),
        ("other", f"does not contain {DOMAIN}"),
        ("private", "is private"),
    ],
)
def test_a_zone_that_cannot_hold_the_domain(case: Case, zones: dict[str, str], zone: str, said: str) -> None:
    tls = case.config.tls.model_copy(update={"zone_id": zones.get(zone, zone)})

    assert said in case.having(tls=tls).only("hosted zone").message


def test_a_record_of_the_domain_that_no_stack_holds(case: Case) -> None:
    record = {"Name": DOMAIN, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}

    def change(action: str) -> None:
        changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        zone = case.config.tls.zone_id
        case.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)

    change("CREATE")
    try:
        assert "has an address record already" in case.only("hosted zone").message
        with deployed(case, "ControlPlane"):
            assert case.found() == []
    finally:
        change("DELETE")
