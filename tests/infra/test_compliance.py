"""cdk-nag's AwsSolutions and the CDK's own rules, over every stack of every environment."""

import json
import subprocess
import sys
import tomllib
from datetime import date, timedelta
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from outpost_constructs.compliance import nist_findings
from outpost_constructs.nag_suppressions import REVIEWED, acknowledge, end_of, reason_of
from outpost_ops.config import load
from outpost_ops.templates import read_assembly
from tests.infra.assembly import Assembly, synthesize
from tests.infra.conftest import ROOT, SHIPPED
from tools.compliance.model import (
    EXPLANATIONS,
    Acknowledged,
    ComplianceReport,
    OpenFinding,
    UnderAnotherKey,
    Watched,
    compliance_report,
)
from tools.nag import checked_out, write

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))


@pytest.fixture(scope="module")
def reports(assembly: Assembly) -> list[ComplianceReport]:
    """The report of each environment, as `make nag` writes them."""
    templates = {each.environment: each for each in read_assembly(assembly.folder)}
    names = {stage: stage.stage_name.removeprefix("Outpost-") for stage in assembly.stages}
    return [
        compliance_report(
            load(ROOT / "config" / f"{name}.toml"),
            validation=assembly.report,
            nist=nist_findings(stage),
            templates=templates[name],
            commit=COMMIT,
            today=REVIEWED,
        )
        for stage, name in names.items()
    ]


def a_report(**values: object) -> ComplianceReport:
    """A report of dev without findings but for the given values."""
    return ComplianceReport.model_validate(
        {
            "environment": "dev",
            "account": "111111111111",
            "commit": COMMIT,
            "made_on": date(2026, 1, 1),
            "own_key": False,
            "under_another_key": [],
            "open": [],
            "acknowledged": [],
            "nist": [],
            "nist_limit": 0,
            **values,
        }
    )


def test_no_finding_is_open(assembly: Assembly) -> None:
    assert assembly.violations() == []


def test_every_acknowledgement_silences_a_finding(assembly: Assembly) -> None:
    assert assembly.given_acknowledgements() - set(assembly.used_acknowledgements()) == set()


def test_acknowledgements_stand_at_resources_and_give_few_good_reasons(assembly: Assembly) -> None:
    used = assembly.used_acknowledgements()
    reasons = {reason_of(reason) for reason in used.values()}
    assert all(path.count("/") >= 2 for path, _ in used), "an acknowledgement covers a whole stack"
    assert all(len(reason.split()) >= 5 for reason in reasons)
    assert len(reasons) <= 15


def test_no_acknowledgement_ends_before_it_was_reviewed(assembly: Assembly) -> None:
    """`make nag` compares with the day it runs on; these tests pass on every day."""
    assert [place for place, reason in assembly.used_acknowledgements().items() if end_of(reason) < REVIEWED] == []


def test_an_acknowledgement_past_its_end_is_a_problem_of_the_report() -> None:
    ack = Acknowledged(rule="S1", path="Outpost-dev/Data/Bucket", reason="long enough", until=date(2026, 1, 1))
    report = a_report(made_on=date(2026, 1, 2), acknowledged=[ack])

    assert list(report.problems()) == ["S1 at Outpost-dev/Data/Bucket: acknowledged until 2026-01-01"]
    assert list(report.model_copy(update={"made_on": ack.until}).problems()) == []


def test_the_rules_are_on(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    s3.Bucket(cdk.Stack(app, "Careless"), "Bucket")

    rules = {rule for rule, _ in synthesize(app).violations()}

    assert {"AwsSolutions-S1", "AwsSolutions-S10"} <= rules


def test_the_cdks_own_rules_are_errors(tmp_path: Path) -> None:
    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(outdir=str(tmp_path), context=flags)
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


def test_an_acknowledgement_cannot_outlive_the_next_review() -> None:
    bucket = s3.Bucket(cdk.Stack(cdk.App(), "Data"), "Bucket")

    with pytest.raises(ValueError, match="more than a year after the last review"):
        acknowledge(bucket, "S1", "a reason with more than five words in it", until=REVIEWED + timedelta(days=367))


def test_every_nist_finding_is_explained_and_their_number_does_not_grow(reports: list[ComplianceReport]) -> None:
    assert [problem for report in reports for problem in report.problems()] == []


def test_no_nist_rule_is_explained_in_vain(reports: list[ComplianceReport]) -> None:
    explained = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))

    shipped = [report for report in reports if report.environment in SHIPPED]
    assert set(explained["explained"]) == {row.rule for report in shipped for row in report.nist}
    assert set(explained["limits"]) == set(SHIPPED)


def test_a_nist_finding_without_an_explanation_and_one_too_many_are_problems() -> None:
    unexplained = Watched(rule="New", findings=3, explanation=None)
    report = a_report(nist=[unexplained], nist_limit=2)

    assert [problem.split(":")[0] for problem in report.problems()] == ["NIST New", "NIST 800-53 R5"]


def test_the_page_shows_open_findings_reasons_and_explanations(tmp_path: Path) -> None:
    report = a_report(
        own_key=True,
        under_another_key=[UnderAnotherKey(what="Data/Logs", type="AWS::S3::Bucket", explanation="S3 says so")],
        open=[OpenFinding(rule="AwsSolutions-S1", path="Outpost-dev/Data/Logs", description="no <access> logs")],
        acknowledged=[Acknowledged(rule="AwsSolutions-ECS2", path="p", reason="Names only", until=date(2027, 1, 1))],
        nist=[Watched(rule="LambdaDLQ", findings=4, explanation="They run again a minute later")],
        nist_limit=4,
    )

    write(report, tmp_path)

    page = (tmp_path / "dev.html").read_text(encoding="utf-8")
    assert ComplianceReport.model_validate_json((tmp_path / "dev.json").read_text(encoding="utf-8")) == report
    assert "no &lt;access&gt; logs" in page
    assert "Names only (1, until 2027-01-01)" in page
    assert "They run again a minute later" in page
    assert "S3 says so" in page
    assert "1 findings of AwsSolutions are acknowledged for 1 reasons." in page
    assert f"Account <code>111111111111</code>, commit <code>{COMMIT}</code>, made on 2026-01-01." in page
    assert "http" not in page.replace("<!doctype html>", ""), "the page needs nothing from elsewhere"


def test_what_another_key_encrypts_without_a_reason_is_a_problem() -> None:
    bucket = UnderAnotherKey(what="Data/New", type="AWS::S3::Bucket", explanation=None)

    (problem,) = a_report(own_key=True, under_another_key=[bucket]).problems()

    assert problem.startswith("AWS::S3::Bucket Data/New: encrypt it with the environment's key")


def test_the_commit_of_the_report_says_when_files_differ_from_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        argv = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments]
        subprocess.run(argv, check=True, capture_output=True)

    assert checked_out(tmp_path) == "unknown"
    git("init")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "one")
    git("tag", "v1")
    clean = checked_out(tmp_path)
    (tmp_path / "file").write_text("b")

    assert len(clean) == 40
    assert checked_out(tmp_path) == f"{clean}-dirty"


@pytest.mark.parametrize("name", ["local", pytest.param("prod", marks=pytest.mark.full)])
def test_cfn_lint_finds_nothing(assembly: Assembly, name: str) -> None:
    """The least and the most of the environments: the others have the same resources."""
    templates = [str(path) for path in assembly.folder.glob(f"assembly-Outpost-{name}/*.template.json")]

    done = subprocess.run([CFN_LINT, "--", *templates], cwd=ROOT, capture_output=True, text=True, check=False)

    assert len(templates) >= 6
    assert done.stdout == ""
    assert done.returncode == 0


def test_cfn_lint_is_on(tmp_path: Path) -> None:
    template = tmp_path / "careless.json"
    template.write_text(json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Nam": "q"}}}}))

    done = subprocess.run([CFN_LINT, "--", str(template)], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "E3002" in done.stdout
