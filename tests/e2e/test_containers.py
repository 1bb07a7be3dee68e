"""The same environment with every task in a real container. Skipped, saying so, without an engine."""

import json
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from outpost.names import Output, tenant_secrets_prefix
from outpost_client.results import Status
from outpost_local.container_engine import connect, ensure_bridge
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import output
from tests.e2e.conftest import Outpost, tenant_of
from tests.engines import build_options, container_engine

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Outpost]:
    """An environment whose images are built and whose tasks are containers, as its tenant sees it."""
    folder = tmp_path_factory.mktemp("containers")
    with container_engine(folder) as engine:
        environment = LocalEnvironment(
            folder / "data", unused_port(), unused_port(), engine, build_options=build_options(engine, folder)
        )
        environment.start()
        try:
            environment.deploy(lambda line: None)
            environment.git.create_repository("acme/widget", {"README.md": "# widget\n"})
            with tenant_of(environment, folder) as outpost:
                yield outpost
        finally:
            environment.stop()


def test_tasks_in_containers_bring_back_their_patches(contained: Outpost) -> None:
    def one(number: int) -> str:
        return contained.dispatch(f"echo {number} > number", repo="acme/widget").id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, range(4)))
    for number, dispatch_id in enumerate(ids):
        ended = contained.ends(dispatch_id, within=120)
        assert (ended.status, ended.attempt) == (Status.SUCCESS, 1)
        assert f"+{number}\n" in contained.artifact(dispatch_id, "changes.patch").decode()


def test_the_agent_in_a_container_is_another_user_without_privileges(contained: Outpost) -> None:
    dispatch = contained.dispatch("id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    assert contained.ends(dispatch.id, within=120).status is Status.SUCCESS
    log = [line.split() for line in contained.log(dispatch.id)]
    assert ["10002"] in log
    assert ["CapEff:", "0000000000000000"] in log
    assert ["CapBnd:", "0000000000000000"] in log
    assert ["NoNewPrivs:", "1"] in log


INTRUDER = r"""
ls /mnt /mnt/workspaces /mnt/workspaces/globex 2> /dev/null && echo GOT the mount
cat /mnt/workspaces/globex/plans.tar.zst 2> /dev/null && echo GOT the workspace
python3 - <<'END'
import json, os, urllib.error, urllib.request
endpoint, bucket, key, secret, broker, queue = json.loads(os.environ["TARGETS"])
forged = ("AWS4-HMAC-SHA256 Credential=ASIAQQQQQQQQQQQQQQQQ/20260101/us-east-1/%s/aws4_request, "
          "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64)
def ask(name, service, path, target=None, body=None):
    for signature in ({}, {"Authorization": forged % service, "X-Amz-Date": "20260101T000000Z"}):
        kind = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"} if target else {}
        request = urllib.request.Request(endpoint + path, body and json.dumps(body).encode(), signature | kind)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                print("GOT", name, answer.read(200))
        except urllib.error.HTTPError as error:
            print("refused", name, error.code)
ask("object", "s3", "/" + bucket + "/" + key)
ask("list", "s3", "/" + bucket + "?list-type=2&prefix=tenants/")
ask("secret", "secretsmanager", "/", "secretsmanager.GetSecretValue", {"SecretId": secret})
ask("queue", "sqs", "/", "AmazonSQS.ReceiveMessage", {"QueueUrl": queue})
ask("broker", "lambda", "/2015-03-31/functions/" + broker + "/invocations", None, {"protocol": 1, "op": "claim"})
ask("role", "sts", "/?Action=GetCallerIdentity&Version=2011-06-15")
END
echo done
"""
ASKED = ("object", "list", "secret", "queue", "broker", "role")


def test_an_agent_in_a_container_gets_nothing_of_another_tenant(contained: Outpost) -> None:
    """Without a key of its own, or with one that it made up, AWS refuses everything; the disk holds nothing."""
    environment = contained.environment
    bucket, key = output(environment, Output.ARTIFACTS_BUCKET), "tenants/globex/dispatches/1/1/output.log"
    environment.client("s3").put_object(Bucket=bucket, Key=key, Body=b"GOT globex's log")
    name = f"{tenant_secrets_prefix('local')}globex/TOKEN"
    secret = environment.client("secretsmanager").create_secret(Name=name, SecretString="GOT globex's token")["ARN"]
    kept = environment.settings.workspaces_dir / "globex" / "plans.tar.zst"
    kept.parent.mkdir()
    kept.write_text("GOT globex's workspace")
    functions = environment.client("lambda").list_functions()["Functions"]
    broker = next(each["FunctionName"] for each in functions if "Broker" in each["FunctionName"])
    queue = environment.client("sqs").list_queues()["QueueUrls"][0]
    with closing(connect(environment.settings.engine)) as client:
        gateway = ensure_bridge(client, environment.settings).gateway
    targets = [f"http://{gateway}:{environment.settings.port}", bucket, key, secret, broker, queue]

    dispatch = contained.dispatch(f"export TARGETS={shlex.quote(json.dumps(targets))}\n{INTRUDER}")

    assert contained.ends(dispatch.id, within=120).status is Status.SUCCESS
    said = contained.log(dispatch.id)
    assert [line for line in said if "GOT" in line] == []
    # Each was asked without a signature and with a false one, and answered: a refusal, not a missing network.
    assert {line.rpartition(" ")[0] for line in said if line.endswith((" 400", " 403"))} >= {
        f"refused {each}" for each in ASKED
    }
    assert len([line for line in said if line.startswith("refused")]) == 2 * len(ASKED)


def test_a_container_killed_in_mid_run_ends_as_worker_lost(contained: Outpost) -> None:
    dispatch = contained.dispatch("echo begun; sleep 600")
    contained.reaches(dispatch.id, Status.RUNNING, within=120)
    worker_id = contained.row(dispatch.id)["worker_id"]
    cluster = contained.environment.client("ecs").list_clusters()["clusterArns"][0]
    contained.environment.client("ecs").stop_task(cluster=cluster, task=worker_id, reason="test")
    ended = contained.ends(dispatch.id, within=180)
    assert ended.reason is not None
    assert (ended.status, ended.reason.code) == (Status.FAILED, "WORKER_LOST")
