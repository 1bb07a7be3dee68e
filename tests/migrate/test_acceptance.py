"""Each criterion is broken by hand, and exactly it stops passing."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outpost.names import MigrationOutput
from outpost_migration.acceptance import Acceptance
from outpost_migration.monitor.watch import baseline_key
from outpost_migration.runner import run_step
from outpost_migration.steps import archive, clients, cutover, monitor
from outpost_migration.steps.archive import PREFIX, TAR
from outpost_migration.v1.layout import SCRIPTS_FOLDER
from tests.migrate.elapsed_time import live_through

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

World = Any
RUN = "accepted"
SKIPPED = dict.fromkeys(("preflight", "audit", "archive", "shadow", "validate", "update-clients"), "tested elsewhere")


@pytest.fixture
def green(fresh: World, documentation: Path) -> World:
    """A migration of which every criterion can be looked at, a day after its cutover."""
    world = fresh
    home = world.home(RUN)
    run_step(world.context(RUN), archive.STEP, despite=SKIPPED)
    run_step(world.context(RUN), clients.STEP, file=[home], despite=SKIPPED)
    run_step(world.context(RUN), cutover.STEP, despite=SKIPPED)
    run_step(world.context(RUN), monitor.STEP)
    live_through(world, world.plan(RUN).started_at, 24)
    world.folder_of_docs = documentation
    world.log("all is well", world.now() - timedelta(hours=7))
    world.log("all is well", world.now() - timedelta(hours=1))
    return world


def states(world: World) -> dict[int, str]:
    found = Acceptance(world.context(RUN), world.folder_of_docs).checks()
    assert all(check.evidence for check in found)
    return {int(check.id.rpartition("-")[2]): check.status for check in found}


def changed(world: World, before: dict[int, str]) -> dict[int, str]:
    return {number: state for number, state in states(world).items() if state != before[number]}


@pytest.mark.timeout(600)
def test_each_criterion_broken_by_hand_fails_alone(green: World) -> None:
    world = green
    before = states(world)
    assert {number for number, state in before.items() if state == "pass"} == set(range(1, 10)), before
    s3, bucket = world.client("s3"), world.deployment[MigrationOutput.AUDIT_BUCKET]

    secrets, secret_id = world.client("secretsmanager"), world.deployment[MigrationOutput.ENDPOINT_SECRET]
    right = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
    secrets.put_secret_value(SecretId=secret_id, SecretString=right.replace("http://", "http://other."))
    assert changed(world, before) == {1: "fail"}
    secrets.put_secret_value(SecretId=secret_id, SecretString=right)

    page = world.folder_of_docs / "tools.md"
    text = page.read_text()
    page.write_text(text.replace("## outpost_promote", "promote"))
    assert changed(world, before) == {2: "fail"}
    page.write_text(text)

    key = f"{PREFIX}{RUN}/{TAR}"
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=content[:-10])
    assert changed(world, before) == {3: "fail"}
    s3.put_object(Bucket=bucket, Key=key, Body=content)

    plan = world.plan(RUN)
    baseline = s3.get_object(Bucket=bucket, Key=baseline_key(plan))["Body"].read()
    s3.delete_object(Bucket=bucket, Key=baseline_key(plan))
    assert changed(world, before) == {5: "inconclusive"}
    s3.put_object(Bucket=bucket, Key=baseline_key(plan), Body=baseline)

    environment = world.folder / RUN / ".env"
    updated = environment.read_text()
    environment.write_text("SSM_INSTANCE_ID=mi-0123456789abcdef0\n")
    assert changed(world, before) == {1: "fail", 9: "fail"}, "both criteria are about the clients' files"
    environment.write_text(updated)

    world.log("ERROR: it broke", world.now() - timedelta(hours=2))
    assert changed(world, before) == {4: "fail"}
    before[4] = "fail"

    world.client("ssm").send_command(
        InstanceIds=[world.host.instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": [f"{SCRIPTS_FOLDER}/dispatch.sh a/b 'echo still on v1'"]},
    )
    world.move(world.ahead + timedelta(minutes=20))
    assert changed(world, before) == {6: "fail"}
    before[6] = "fail"

    ecs = world.client("ecs")
    service = {
        "cluster": world.deployment[MigrationOutput.CLUSTER],
        "service": world.deployment[MigrationOutput.SERVICE],
    }
    ecs.update_service(**service, desiredCount=0)
    try:
        broken = changed(world, before)
        assert broken.get(7) == "fail"
        assert set(broken) <= {2, 7, 8}, "without the service its tools and its documentation cannot be looked at"
    finally:
        ecs.update_service(**service, desiredCount=1)


def operation(**fields: object) -> dict[str, object]:
    response = {"content": {"application/json": {"schema": {}, "example": {"a": 1}}}}
    return {"description": "Does it.", "responses": {"200": response}, **fields}


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({}, True),
        ({"description": ""}, False),
        ({"responses": {"200": {"content": {"application/json": {"schema": {}}}}}}, False),
        ({"responses": {"204": {}}}, True),
    ],
)
def test_an_operation_without_description_or_example_breaks_the_eighth(
    fresh: World, tmp_path: Path, fields: dict[str, object], holds: bool
) -> None:
    document = {"paths": {"/a": {"get": operation(), "post": operation(**fields)}}}
    with serving(document, tmp_path) as url:
        found, evidence = Acceptance(fresh.context(RUN, url=url), tmp_path).api_documented()
    assert (found, evidence[0].startswith("GET /openapi.json: 2 operations")) == (holds, True)


@contextmanager
def serving(document: dict[str, Any], folder: Path) -> Iterator[str]:
    (folder / "openapi.json").write_text(json.dumps(document))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_without_any_evidence_nothing_passes_but_what_runs(fresh: World, tmp_path: Path) -> None:
    found = Acceptance(fresh.context("never-begun"), tmp_path).checks()
    passing = {check.id for check in found if check.status == "pass"}
    assert passing <= {"criterion-7", "criterion-8"}
