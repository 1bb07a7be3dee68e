"""The account: whose credentials these are, its region and zones, the CDK's bootstrap, service-linked roles."""

from collections.abc import Iterable, Iterator

from outpost_ops.aws_rules.linked_roles import LinkedRole
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.verify.deployed import Account

BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
"""The parameter that `cdk bootstrap` writes, with the CDK's default qualifier."""
HOME_REGION = "us-east-1"
"""Every account has it: others may be disabled."""


def check_credentials(account: Account) -> Iterator[Finding]:
    """The credentials are valid, and of the account that the configuration names."""
    caller = account.client("sts", HOME_REGION).get_caller_identity()
    wanted, found = account.config.account, caller["Account"]
    if found == wanted:
        yield Finding("credentials", Level.OK, caller["Arn"])
        return
    message = f"the credentials are of account {found}, config/{account.config.name}.toml names {wanted}"
    remedy = f'export AWS_PROFILE=<a profile of {wanted}>, or set account = "{found}"'
    yield Finding("credentials", Level.FAILURE, message, remedy)


def check_region(account: Account) -> Iterator[Finding]:
    """The region is enabled, and has the configured zones."""
    config = account.config
    regions = account.client("ec2", HOME_REGION).describe_regions(AllRegions=True)["Regions"]
    enabled = {each["RegionName"] for each in regions if each.get("OptInStatus") != "not-opted-in"}
    if config.region not in enabled:
        remedy = f"aws account enable-region --region-name {config.region}"
        yield Finding("region", Level.FAILURE, f"{config.region} is not enabled in the account", remedy)
        return
    zones = account.client("ec2").describe_availability_zones()["AvailabilityZones"]
    known = {zone["ZoneName"] for zone in zones if zone.get("State", "available") == "available"}
    if missing := [zone for zone in config.zones if zone not in known]:
        message = f"zones: {', '.join(missing)} not available to the account"
        yield Finding("region", Level.FAILURE, message, f"set zones to some of {', '.join(sorted(known))}")
        return
    yield Finding("region", Level.OK, f"{config.region}: {', '.join(config.zones)}")


def check_bootstrap(account: Account, needed: int) -> Iterator[Finding]:
    """The CDK's bootstrap stack is there, in the version that the templates need."""
    remedy, ssm = f"make bootstrap ENV={account.config.name}", account.client("ssm")
    try:
        value = ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        yield Finding("bootstrap", Level.FAILURE, "the region is not bootstrapped for the CDK", remedy)
        return
    fits = int(value) >= needed
    level = Level.OK if fits else Level.FAILURE
    yield Finding("bootstrap", level, f"version {value}, {needed} needed", "" if fits else remedy)


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
        level = Level.FAILURE if races else Level.WARNING
        message = f"{role.name} does not exist; {'the first cluster fails' if races else 'its service creates it'}"
        remedy = f"aws iam create-service-linked-role --aws-service-name {role.service}"
        yield Finding("service-linked roles", level, message, remedy)
    if not missing:
        yield Finding("service-linked roles", Level.OK, "all exist")
