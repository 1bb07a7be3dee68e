"""From v1 to v2 against a host that behaves as the real one does: every step, in one run."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from outpost.names import MigrationOutput
from outpost_client import Client
from outpost_local import v1
from outpost_migration.endpoint import V1Endpoint, V2Endpoint
from outpost_migration.html import render
from outpost_migration.registry import STEPS
from outpost_migration.runner import run_step
from outpost_migration.steps import audit, clients, cutover, decommission, monitor, rollback, verify
from outpost_migration.steps.monitor import watch_of
from outpost_migration.v1.layout import DISABLED, SCRIPTS
from outpost_ops.errors import OperationError
from tests.migrate.elapsed_time import live_through, quiet_month

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

World = Any
SKIPPED = dict.fromkeys(("archive", "shadow", "validate", "update-clients"), "tested elsewhere")


def test_every_step_from_preflight_to_decommission(fresh: World, documentation: Path) -> None:
    world, run = fresh, "whole"
    world.up_to_cutover(run)

    moved = run_step(world.context(run), cutover.STEP)
    assert (moved.status, moved.ssm_active_scripts, moved.ecs_active) == ("pass", 0, True)
    assert world.host.scripts() == sorted(f"{name}{DISABLED}" for name in SCRIPTS)

    first = run_step(world.context(run), monitor.STEP)
    assert first.status == "inconclusive", "nothing is known yet"
    plan = world.plan(run)
    live_through(world, plan.started_at, 24)
    day = run_step(world.context(run), monitor.STEP)
    assert day.status == "pass", day.checks
    assert [c.after_seconds // 3600 for c in day.checkpoints] == [1, 6, 12, 24]
    assert day.baseline_saved

    for hours in (7, 1):
        world.log("all is well", world.now() - timedelta(hours=hours))
    unseen = run_step(world.context(run), verify.STEP, docs=documentation, controls=lambda _: [])
    assert [check for check in unseen.checks if check.status == "fail"] == []
    assert unseen.status == "inconclusive", "no control was looked at, so nothing is signed off"
    with pytest.raises(OperationError, match="needs verify to have passed"):
        run_step(world.context(run), decommission.STEP, yes=True)
    signed = run_step(world.context(run), verify.STEP, docs=documentation)
    assert (signed.status, signed.migration_complete) == ("pass", True), signed.checks

    early = run_step(world.context(run), decommission.STEP, yes=True)
    assert early.status == "fail", "30 days have not passed"
    quiet_month(world, plan.ends_at)
    gone = run_step(world.context(run), decommission.STEP, yes=True)
    assert gone.status == "pass", gone.checks
    assert gone.deregistered
    assert world.host.folder.exists() is False
    retired = world.host.folder.with_name(f"retired-{world.host.instance_id}")
    assert [path.name for path in retired.rglob("*.sh*")] == []
    assert all_reports_validate(world, run) == set(STEPS) - {"rollback"}
    page = page_of(world, run)
    assert page.count("<svg") == 5
    retired.rename(world.host.folder)
    reinstall(world)


def reinstall(world: World) -> None:
    """Give the host its scripts back."""
    source = Path(v1.__file__).parent / "scripts"
    for script in SCRIPTS:
        shutil.copy2(source / script, world.host.base / "scripts" / script)


def all_reports_validate(world: World, run: str) -> set[str]:
    context = world.context(run)
    found = set()
    for name, step in STEPS.items():
        if report := context.last_report(step.report):
            found.add(name)
            assert all(check.evidence for check in report.checks), name
    return found


def page_of(world: World, run: str) -> str:
    context = world.context(run)
    watch = watch_of(context)
    plan = watch.plan()
    assert plan is not None
    reports = [found for step in STEPS.values() if (found := context.last_report(step.report))]
    return render(context.journal.read(), reports, plan, watch.samples(plan))


@pytest.mark.parametrize("level", [1, 2])
def test_a_rollback_gives_v1_back_and_a_second_cutover_works(fresh: World, level: int) -> None:
    world, run = fresh, f"back-{level}"
    run_step(world.context(run), cutover.STEP, despite=SKIPPED)
    assert isinstance(world.context(run).secret.current()[1], V2Endpoint)

    back = run_step(world.context(run), rollback.STEP, level=level, reason="a test")
    assert back.status == "pass", back.checks
    assert isinstance(world.context(run).secret.current()[1], V1Endpoint)
    assert world.host.scripts() == sorted(SCRIPTS)
    entries = world.context(run).journal.read().entries
    assert (entries["cutover"].state, entries["rollback"].state) == ("rolled-back", "pass")

    again = run_step(world.context(run), cutover.STEP, despite=SKIPPED)
    assert again.status == "pass", again.checks
    run_step(world.context(run), rollback.STEP, level=1, reason="clean up")


def test_no_step_changes_anything_in_a_dry_run(fresh: World) -> None:
    world, run = fresh, "dry"
    home = world.home(run)
    steps = {
        "preflight": [],
        "audit": [],
        "archive": [],
        "shadow": ["--repo", world.repository, "--agent", "shell"],
        "validate": ["--agent", "shell"],
        "update-clients": ["--file", str(home)],
        "cutover": [],
        "monitor": [],
        "verify": [],
        "rollback": ["--level", "2", "--reason", "a test"],
        "decommission": [],
    }
    assert set(steps) == set(STEPS)
    changes = {}
    for step, options in steps.items():
        if step == "monitor":  # it, and what follows, needs a cutover that was done
            run_step(world.context(run), cutover.STEP, despite=SKIPPED)
        before = everything(world, home)
        done = world.outpost("migrate", "--run", run, step, *options, "--dry-run", "--json")
        assert done.returncode in {0, 1, 3}, (step, done.stderr)
        report = json.loads(done.stdout)
        assert report["dry_run"] is True
        changes[step] = report["changes"]
        assert everything(world, home) == before, step
    assert {step for step, made in changes.items() if not made} <= {"audit", "verify"}, changes


def everything(world: World, home: Path) -> object:
    """All that a step may change: objects, the secret's versions, scripts, clients' files, the service, dispatches."""
    deployment = world.deployment
    secret = world.client("secretsmanager").list_secret_version_ids(
        SecretId=deployment[MigrationOutput.ENDPOINT_SECRET]
    )["Versions"]
    objects = world.client("s3").list_objects_v2(Bucket=deployment[MigrationOutput.AUDIT_BUCKET], Prefix="migration/")
    archived = world.client("s3").list_objects_v2(Bucket=deployment[MigrationOutput.AUDIT_BUCKET], Prefix="archive/")
    service = world.client("ecs").describe_services(
        cluster=deployment[MigrationOutput.CLUSTER], services=[deployment[MigrationOutput.SERVICE]]
    )["services"][0]
    with Client(world.url, world.key) as client:
        newest = [found.id for found in client.dispatches({}).items]
    return (
        [(found["Key"], found["ETag"]) for page in (objects, archived) for found in page.get("Contents", [])],
        sorted((version["VersionId"], sorted(version["VersionStages"])) for version in secret),
        world.host.scripts(),
        {path: path.read_text() for path in home.rglob("*") if path.is_file()},
        service["desiredCount"],
        newest,
    )


def test_clients_get_their_files_back(fresh: World) -> None:
    world = fresh
    home = world.home("reverted")
    before = {path: path.read_text() for path in home.rglob("*") if path.is_file()}
    assert clients.run(world.context("revert"), file=[home]).config_updated
    assert all(path.read_text() != text for path, text in before.items())
    reverted = clients.run(world.context("revert"), file=[home], revert=True)
    assert {path: path.read_text() for path in before} == before
    assert not reverted.config_updated


def test_callers_can_be_denied_and_are_allowed_again(fresh: World) -> None:
    world, run = fresh, "deny"
    iam = world.client("iam")
    iam.create_user(UserName="old-client")
    allow = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}
    iam.put_user_policy(
        UserName="old-client",
        PolicyName="may",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    made = iam.create_access_key(UserName="old-client")["AccessKey"]
    ssm = world.session(made["AccessKeyId"], made["SecretAccessKey"]).client("ssm")
    call = {
        "InstanceIds": [world.host.instance_id],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["/home/ubuntu/claude-executor/scripts/list-runs.sh"]},
    }
    ssm.send_command(**call)
    report = audit.run(world.context(run))
    assert "arn:aws:iam::000000000000:user/old-client" in [caller.caller for caller in report.callers]
    run_step(world.context(run), audit.STEP, despite={"preflight": "a test"})
    moved = run_step(world.context(run), cutover.STEP, deny_callers=True, despite=SKIPPED)
    assert moved.denied_callers == ["user old-client"]
    with pytest.raises(ssm.exceptions.ClientError, match="not authorized"):
        ssm.send_command(**call)
    run_step(world.context(run), rollback.STEP, level=1, reason="a test")
    ssm.send_command(**call)


def test_the_command_line_shows_the_steps(fresh: World) -> None:
    done = fresh.outpost("migrate", "--run", "typed", "preflight", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["validation_status"] == "pass"
    refused = fresh.outpost("migrate", "--run", "typed", "cutover")
    assert refused.returncode == 2
    assert "cutover needs archive to have passed, which is not run" in refused.stderr
    shown = fresh.outpost("migrate", "--run", "typed", "status")
    first = shown.stdout.splitlines()[1].split()
    assert first[:2] == ["preflight", "pass"]
