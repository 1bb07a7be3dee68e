"""The account: whose credentials these are, its region and zones, the CDK's bootstrap, service-linked roles."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost_ops.aws_rules.linked_roles import LinkedRole
from outpost_ops.config import EnvironmentConfig
from outpost_ops.doctor.finding import Finding, Level

BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
"""The parameter that `cdk bootstrap` writes, with the CDK's default qualifier."""
HOME_REGION = "us-east-1"


@dataclass(frozen=True)
class Account:
    """The account that the session reaches, and the configuration that is to be deployed there."""

    config: EnvironmentConfig
    session: boto3.Session

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - a dozen services, found by name
        """Return a client of a service in a region, the environment's if none is named."""
        place = (service, region or self.config.region)
        if place not in self._clients:
            self._clients[place] = self._new_client(*place)
        return self._clients[place]

    def home_client(self, service: str) -> Any:  # noqa: ANN401 - as above
        """Return a client of a service in a region that every account has: others may be disabled."""
        return self._new_client(service, HOME_REGION)

    def pages(self, service: str, operation: str, members: str, **arguments: Any) -> Iterator[Any]:  # noqa: ANN401
        """Yield what a paged call lists under `members`."""
        for page in self.client(service).get_paginator(operation).paginate(**arguments):
            yield from page[members]

    def _new_client(self, service: str, region: str) -> Any:  # noqa: ANN401 - as above
        return self.session.client(service, region_name=region, config=CLIENT_CONFIG)  # type: ignore[call-overload]


def check_credentials(account: Account) -> Iterator[Finding]:
    """The credentials are valid, and of the account that the configuration names."""
    caller = account.home_client("sts").get_caller_identity()
    wanted, found = account.config.account, caller["Account"]
    if found == wanted:
        yield Finding.ok("credentials", caller["Arn"])
        return
    yield Finding.failure(
        "credentials",
        f"the credentials are of account {found}, config/{account.config.name}.toml names {wanted}",
        f'export AWS_PROFILE=<a profile of {wanted}>, or set account = "{found}"',
    )


def check_region(account: Account) -> Iterator[Finding]:
    """The region is enabled, and has the configured zones."""
    config = account.config
    regions = account.home_client("ec2").describe_regions(AllRegions=True)["Regions"]
    enabled = {each["RegionName"] for each in regions if each.get("OptInStatus") != "not-opted-in"}
    if config.region not in enabled:
        yield Finding.failure(
            "region",
            f"{config.region} is not enabled in the account",
            f"aws account enable-region --region-name {config.region}",
        )
        return
    zones = account.client("ec2").describe_availability_zones()["AvailabilityZones"]
    known = {zone["ZoneName"] for zone in zones if zone.get("State", "available") == "available"}
    missing = [zone for zone in config.zones if zone not in known]
    if missing:
        yield Finding.failure(
            "region",
            f"zones: {', '.join(missing)} not available to the account",
            f"set zones to some of {', '.join(sorted(known))}",
        )
        return
    yield Finding.ok("region", f"{config.region}: {', '.join(config.zones)}")


def check_bootstrap(account: Account, needed: int) -> Iterator[Finding]:
    """The CDK's bootstrap stack is there, in the version that the templates need."""
    config = account.config
    remedy = f"make bootstrap ENV={config.name}"
    try:
        value = account.client("ssm").get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        yield Finding.failure("bootstrap", "the region is not bootstrapped for the CDK", remedy)
        return
    level = Level.OK if int(value) >= needed else Level.FAILURE
    yield Finding(
        check="bootstrap",
        level=level,
        message=f"version {value}, {needed} needed",
        remedy="" if level is Level.OK else remedy,
    )


def check_linked_roles(account: Account, needed: Iterable[LinkedRole]) -> Iterator[Finding]:
    """The service-linked roles exist: the first cluster of an account may fail without its own."""
    iam, missing = account.client("iam"), []
    for role in needed:
        try:
            iam.get_role(RoleName=role.name)
        except iam.exceptions.NoSuchEntityException:
            missing.append(role)
    for role in missing:
        races = role.service == "ecs.amazonaws.com"
        yield Finding(
            check="service-linked roles",
            level=Level.FAILURE if races else Level.WARNING,
            message=f"{role.name} does not exist; {'the first cluster fails' if races else 'its service creates it'}",
            remedy=f"aws iam create-service-linked-role --aws-service-name {role.service}",
        )
    if not missing:
        yield Finding.ok("service-linked roles", "all exist")
