"""The certificate and the hosted zone that the load balancer needs."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.leftovers import holds_resources
from outpost_ops.verify.deployed import Account

_SOON = timedelta(days=30)


def check_certificate(account: Account, now: datetime) -> Iterator[Finding]:
    """The configured certificate exists in the account and region, is issued, covers the domain and lasts."""
    arn, domain = account.config.tls.certificate_arn, account.config.tls.domain
    if arn is None:
        return
    acm = account.client("acm")
    try:
        certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    except (acm.exceptions.ResourceNotFoundException, acm.exceptions.ValidationException):
        request = f"aws acm request-certificate --domain-name {domain or 'DOMAIN'} --validation-method DNS"
        remedy = f"{request} --region {account.config.region}"
        yield Finding("certificate", Level.FAILURE, f"{arn} does not exist in {account.config.region}", remedy)
        return
    yield evaluate_certificate(certificate, domain, now)


def evaluate_certificate(certificate: dict[str, Any], domain: str | None, now: datetime) -> Finding:
    """Return what is wrong with a described certificate, if anything."""
    arn, names = certificate["CertificateArn"], _names(certificate)
    if certificate["Status"] != "ISSUED":
        remedy = f"create its validation record: aws acm describe-certificate --certificate-arn {arn}"
        return Finding("certificate", Level.FAILURE, f"the certificate is {certificate['Status']}, not ISSUED", remedy)
    if domain and not any(covers(name, domain) for name in names):
        remedy = f"aws acm request-certificate --domain-name {domain} --validation-method DNS"
        return Finding("certificate", Level.FAILURE, f"it covers {', '.join(names)}, not {domain}", remedy)
    ends = certificate.get("NotAfter")
    if ends and ends - now < _SOON:
        level = Level.FAILURE if ends <= now else Level.WARNING
        imported = certificate.get("Type") == "IMPORTED"
        command = "import-certificate" if imported else "describe-certificate"
        remedy = f"{'import its successor' if imported else 'see why it is not renewed'}: aws acm {command}"
        message = f"it ends on {ends:%Y-%m-%d}"
        return Finding("certificate", level, message, f"{remedy} --certificate-arn {arn}")
    return Finding("certificate", Level.OK, f"{', '.join(names)}, issued")


def covers(name: str, domain: str) -> bool:
    """Return whether a certificate's name, which may be a wildcard for one label, covers a domain."""
    return name == domain or (name.startswith("*.") and name[2:] == domain.partition(".")[2])


def check_zone(account: Account, states: Mapping[str, str]) -> Iterator[Finding]:
    """The configured zone exists, is public, contains the domain, and has no record of it that is not the stack's."""
    zone_id, domain = account.config.tls.zone_id, str(account.config.tls.domain)
    if zone_id is None:
        return
    remedy = (
        f"aws route53 list-hosted-zones-by-name --dns-name {domain.partition('.')[2]}, "
        "and set tls.zone_id to the public zone's id"
    )
    route53, message = account.client("route53"), ""
    try:
        zone = route53.get_hosted_zone(Id=zone_id)["HostedZone"]
    except route53.exceptions.NoSuchHostedZone:
        yield Finding("hosted zone", Level.FAILURE, f"{zone_id} does not exist in the account", remedy)
        return
    name = zone["Name"].rstrip(".")
    if zone.get("Config", {}).get("PrivateZone"):
        message = f"{zone_id} ({name}) is private: no certificate can be validated in it"
    elif domain != name and not domain.endswith(f".{name}"):
        message = f"{zone_id} is {name}, which does not contain {domain}"
    elif not holds_resources(states.get(f"Outpost-{account.config.name}-ControlPlane")) and _has_record(account):
        message = f"{domain} has an address record already, which the ControlPlane stack is about to create"
        remedy = f"delete it: aws route53 list-resource-record-sets --hosted-zone-id {zone_id}"
    if message:
        yield Finding("hosted zone", Level.FAILURE, message, remedy)
    else:
        yield Finding("hosted zone", Level.OK, f"{name} contains {domain}")


def _has_record(account: Account) -> bool:
    """Return whether the domain has an A or CNAME record."""
    tls = account.config.tls
    first = account.client("route53").list_resource_record_sets(HostedZoneId=tls.zone_id, StartRecordName=tls.domain)
    return any(
        each["Name"] == f"{tls.domain}." and each["Type"] in {"A", "CNAME"} for each in first["ResourceRecordSets"]
    )


def _names(certificate: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys([certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])]))
