"""Quotas are compared with what the configuration needs, and with what others use of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from app import OutpostApp
from outpost.domain.agents import Agent
from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.servicequotas.quotas import QUOTAS
from outpost_local.realism import Realism
from outpost_ops.config import load
from outpost_ops.doctor.finding import Level
from outpost_ops.doctor.quotas import Need, evaluate_quota, needs
from outpost_ops.templates import read_assembly
from tests.doctor.conftest import ROOT, Case
from tests.doctor.test_account import deployed
from tests.local.accounts import register_job, run_job
from tests.local.conftest import DEMO_IMAGE
from tests.ports import free_port

VPCS = Need("vpc", "L-F678F1CE", "VPCs", 1, 3, lambda _: 0)


@pytest.mark.parametrize(
    ("quota", "used", "level", "desired"),
    [
        (5, 2, Level.OK, ""),
        (5, 3, Level.WARNING, "6"),
        (5, 4, Level.WARNING, "7"),
        (5, 5, Level.FAILURE, "8"),
    ],
)
def test_what_is_needed_at_rest_fails_and_what_is_needed_at_the_limits_warns(
    quota: float, used: float, level: Level, desired: str
) -> None:
    finding = evaluate_quota(VPCS, quota, used)

    assert finding.level is level
    assert finding.remedy.endswith(f"--desired-value {desired}" if desired else "")


def test_the_embedded_account_has_every_quota_that_is_compared(case: Case) -> None:
    known = {(quota.service, quota.code) for quota in QUOTAS}

    assert {(need.service, need.code) for need in needs(case.config, case.templates)} <= known


def test_limits_above_the_quota(case: Case) -> None:
    agents = dict(case.config.agents)
    agents[Agent.CLAUDE] = agents[Agent.CLAUDE].model_copy(update={"limit": 5000, "spot_share": 0})

    found = case.having(agents=agents).found()

    assert {(each.check, each.level) for each in found} == {("quotas", Level.WARNING)}
    assert [each.message.partition(":")[0] for each in found] == [
        "Fargate on-demand vCPUs",
        "Lambda concurrent executions",
    ]


def test_warm_workers_above_the_quota(case: Case) -> None:
    agents = dict(case.config.agents)
    agents[Agent.CLAUDE] = agents[Agent.CLAUDE].model_copy(
        update={"cpu": 16384, "warm": 260, "limit": 260, "spot_share": 0}
    )

    finding = case.having(agents=agents).only("quotas")

    assert "--service-code fargate --quota-code L-3032A538" in finding.remedy


def test_addresses_of_others_leave_none_for_the_nat_gateways(case: Case) -> None:
    ec2 = case.client("ec2")
    taken = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(98)]
    try:
        finding = case.only("quotas")
        with deployed(case, "Network"):
            assert case.found() == []  # three of them are its own
    finally:
        for allocation in taken:
            ec2.release_address(AllocationId=allocation)
    assert finding.message == ("Elastic IP addresses: 100, 98 used by others; 3 needed at rest, 3 at the limits")


def test_tasks_in_clusters_of_others_count_and_the_environments_own_do_not(case: Case) -> None:
    ecs, clusters = case.client("ecs"), ("Outpost-prod-Data-Cluster", "theirs")
    family = register_job(case.aws, DEMO_IMAGE)
    for cluster in clusters:
        ecs.create_cluster(clusterName=cluster)
        run_job(case.aws, family, "linger", "0", cluster=cluster, launchType="FARGATE")
    try:
        messages = [each.message for each in case.all() if each.check == "quotas"]
    finally:
        for cluster in clusters:
            for task in ecs.list_tasks(cluster=cluster)["taskArns"]:
                ecs.stop_task(cluster=cluster, task=task)

    (on_demand,) = (each for each in messages if each.startswith("Fargate on-demand"))
    assert ", 0.25 used by others;" in on_demand


@pytest.fixture(scope="module")
def new_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """An account on its first day."""
    realism = replace(Realism.none(), new_account=True)
    local = LocalEnvironment(tmp_path_factory.mktemp("first-day") / "aws", free_port(), free_port(), realism=realism)
    local.start()
    yield local
    local.stop()


def test_dev_in_an_account_on_its_first_day(
    new_account: LocalEnvironment, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in new_account.environ().items():
        monkeypatch.setenv(name, value)
    OutpostApp(outdir=str(tmp_path), context={"environment": "dev"}).synth()
    (templates,) = read_assembly(tmp_path)
    config = load(ROOT / "config" / "dev.toml").model_copy(update={"account": "000000000000"})

    found = Case(new_account, config, templates, case.provider, boto3.Session()).found()

    failures = {each.check for each in found if each.level is Level.FAILURE}
    assert failures == {"bootstrap", "service-linked roles"}
    warnings = {each.message.partition(":")[0] for each in found if each.check == "quotas"}
    assert warnings == {"Lambda concurrent executions"}
    assert all(each.remedy for each in found)
