"""`outpost doctor` finds nothing in an account that is ready, and each thing that is not, alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from outpost_ops.doctor.account import BOOTSTRAP
from outpost_ops.doctor.finding import Level, exit_code
from tests.doctor.conftest import NEEDED, Case

TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


def test_an_account_that_is_ready_has_no_findings(case: Case) -> None:
    found = case.all()

    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert exit_code(found) == 0


def test_credentials_of_another_account_end_the_examination(case: Case) -> None:
    found = case.having(account="333333333333").all()

    (finding,) = found
    assert (finding.check, finding.level) == ("credentials", Level.FAILURE)
    assert "account 000000000000" in finding.message
    assert "333333333333" in finding.remedy


def test_without_credentials_nothing_else_is_read(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    finding = replace(case, session=boto3.Session()).only("credentials")

    assert "aws sso login" in finding.remedy


def test_an_endpoint_that_does_not_respond_is_unchecked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("outpost_ops.verify.deployed.CLIENT_CONFIG", Config(retries={"total_max_attempts": 1}))

    found = case.found()

    assert {finding.level for finding in found} == {Level.UNCHECKED}
    assert exit_code(found) == 3


def test_an_unknown_region(case: Case) -> None:
    finding = case.having(region="eu-nowhere-1").only("region")

    assert finding.remedy == "aws account enable-region --region-name eu-nowhere-1"


def test_a_zone_that_the_account_does_not_have(case: Case) -> None:
    finding = case.having(zones=("us-east-1a", "us-east-1z")).only("region")

    assert "us-east-1z" in finding.message


def test_a_region_without_bootstrap(case: Case) -> None:
    case.client("ssm").delete_parameter(Name=BOOTSTRAP)
    try:
        finding = case.only("bootstrap")
    finally:
        case.client("ssm").put_parameter(Name=BOOTSTRAP, Value=str(NEEDED), Type="String")
    assert finding.remedy == "make bootstrap ENV=prod"


def test_an_old_bootstrap(case: Case) -> None:
    case.client("ssm").put_parameter(Name=BOOTSTRAP, Value="5", Type="String", Overwrite=True)
    try:
        finding = case.only("bootstrap")
    finally:
        case.client("ssm").put_parameter(Name=BOOTSTRAP, Value=str(NEEDED), Type="String", Overwrite=True)
    assert finding.message == "version 5, 6 needed"


@pytest.mark.parametrize(
    ("service", "role", "level"),
    [
        ("ecs.amazonaws.com", "AWSServiceRoleForECS", Level.FAILURE),
        ("backup.amazonaws.com", "AWSServiceRoleForBackup", Level.WARNING),
    ],
)
def test_a_missing_service_linked_role(case: Case, service: str, role: str, level: Level) -> None:
    iam = case.client("iam")
    iam.delete_role(RoleName=role)
    try:
        finding = case.only("service-linked roles", level)
    finally:
        iam.create_service_linked_role(AWSServiceName=service)
    assert finding.remedy == f"aws iam create-service-linked-role --aws-service-name {service}"


def test_a_log_group_of_an_earlier_try(case: Case) -> None:
    case.client("logs").create_log_group(logGroupName="/outpost/prod/broker")
    try:
        finding = case.only("names")
    finally:
        case.client("logs").delete_log_group(logGroupName="/outpost/prod/broker")
    assert finding.remedy == "aws logs delete-log-group --log-group-name /outpost/prod/broker"


def test_a_parameter_of_an_earlier_try(case: Case) -> None:
    resources = case.templates.of_type("AWS::SSM::Parameter")
    name = next(str(each.properties["Name"]) for each in resources if "Name" in each.properties)
    case.client("ssm").put_parameter(Name=name, Value="1", Type="String")
    try:
        finding = case.only("names")
    finally:
        case.client("ssm").delete_parameter(Name=name)
    assert finding.remedy == f"aws ssm delete-parameter --name {name}"


def test_a_stack_that_cannot_go_on(case: Case) -> None:
    bad = {"Resources": {"Bad": {"Type": "AWS::Lambda::Function", "Properties": {"Role": "none"}}}}
    cloudformation = case.client("cloudformation")
    with suppress(ClientError):
        cloudformation.create_stack(
            StackName="Outpost-prod-Network", TemplateBody=json.dumps(bad), OnFailure="DO_NOTHING"
        )
    try:
        finding = case.only("stacks")
    finally:
        cloudformation.delete_stack(StackName="Outpost-prod-Network")
    assert "delete-stack --stack-name Outpost-prod-Network" in finding.remedy


def test_a_stack_that_was_rolled_back_is_replaced_by_the_next_deploy(case: Case) -> None:
    bad = {"Resources": {"Bad": {"Type": "AWS::Lambda::Function", "Properties": {"Role": "none"}}}}
    cloudformation = case.client("cloudformation")
    with suppress(ClientError):
        cloudformation.create_stack(StackName="Outpost-prod-Network", TemplateBody=json.dumps(bad))
    try:
        assert case.found() == []
    finally:
        cloudformation.delete_stack(StackName="Outpost-prod-Network")


def test_names_of_a_stack_that_exists_are_its_own(case: Case) -> None:
    with deployed(case, "Fleet"):
        case.client("logs").create_log_group(logGroupName="/outpost/prod/broker")
        try:
            assert case.found() == []
        finally:
            case.client("logs").delete_log_group(logGroupName="/outpost/prod/broker")


@contextmanager
def deployed(case: Case, stack: str) -> Iterator[None]:
    """While a stack of that name exists."""
    cloudformation = case.client("cloudformation")
    cloudformation.create_stack(StackName=f"Outpost-prod-{stack}", TemplateBody=TEMPLATE)
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=f"Outpost-prod-{stack}", WaiterConfig={"Delay": 0.2, "MaxAttempts": 100}
    )
    try:
        yield
    finally:
        cloudformation.delete_stack(StackName=f"Outpost-prod-{stack}")


def test_a_secret_that_does_not_exist(case: Case) -> None:
    assert case.config.git.app is not None
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:outpost/none-AbCdEf"
    app = case.config.git.app.model_copy(update={"key_secret": arn})

    finding = case.having(git=case.config.git.model_copy(update={"app": app})).only("secrets")

    assert "create-secret --name outpost/none " in finding.remedy
