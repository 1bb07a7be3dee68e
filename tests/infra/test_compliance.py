"""cdk-nag's AwsSolutions and the CDK's own rules, over every stack of every environment."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from outpost_constructs.acknowledge import acknowledge
from tests.infra.assembly import Assembly, synthesize


def test_no_finding_is_open(assembly: Assembly) -> None:
    assert assembly.violations() == []


def test_every_acknowledgement_silences_a_finding(assembly: Assembly) -> None:
    assert assembly.given_acknowledgements() - set(assembly.used_acknowledgements()) == set()


def test_acknowledgements_stand_at_resources_and_give_few_good_reasons(assembly: Assembly) -> None:
    used = assembly.used_acknowledgements()
    assert all(path.count("/") >= 2 for path, _ in used), "an acknowledgement covers a whole stack"
    assert all(len(reason.split()) >= 5 for reason in used.values())
    assert len(set(used.values())) <= 15


def test_the_rules_are_on(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    s3.Bucket(cdk.Stack(app, "Careless"), "Bucket")

    rules = {rule for rule, _ in synthesize(app).violations()}

    assert {"AwsSolutions-S1", "AwsSolutions-S10"} <= rules


def test_the_cdks_own_rules_are_errors(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path), context={"@aws-cdk/core:validateAgainstDefaultRules": True})
    cdk.CfnResource(
        cdk.Stack(app, "Careless"), "Queue", type="AWS::SQS::Queue", properties={"VisibilityTimeout": 99_999_999}
    )

    assert synthesize(app).violations() != []


def test_a_whole_stack_cannot_be_acknowledged() -> None:
    with pytest.raises(ValueError, match="not for the whole stack"):
        acknowledge(cdk.Stack(cdk.App(), "Data"), "S1", "a reason with more than five words in it")


def test_an_acknowledgement_needs_a_reason() -> None:
    bucket = s3.Bucket(cdk.Stack(cdk.App(), "Data"), "Bucket")

    with pytest.raises(ValueError, match="explains nothing"):
        acknowledge(bucket, "S1", "false positive")
