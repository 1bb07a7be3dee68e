"""The service as the container starts it: a process that registers the operator, logs JSON and stops in order."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import boto3
import httpx
import pytest
import urllib3
from urllib3.util import Retry

from control_plane.settings import register_operator
from outpost.domain.tenants import OPERATOR, Scope, hash_key, new_key
from outpost.names import Env
from tests.contract.running import TASK, Api

ROOTS = os.pathsep.join((".", "clients", "container"))


@pytest.fixture
def process(
    api: Api, environment: dict[str, str], unused_port: Callable[[], int], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The process, its URL and its log; `api` lets the operator ask often."""
    port, log = unused_port(), tmp_path / "log"
    environ = os.environ | environment | {"PORT": str(port), Env.BIND_HOST: "127.0.0.1", "PYTHONPATH": ROOTS}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "control_plane"], env=environ, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    with urllib3.PoolManager(retries=Retry(total=100, backoff_factor=0.1, backoff_max=0.3)) as http:
        http.request("GET", f"{url}/health/live")
    yield process, url, log
    process.kill()
    process.wait(10)


def operator_key(environment: dict[str, str]) -> str:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=environment[Env.BOOTSTRAP_KEY_SECRET])
    return f"otp_{json.loads(secret['SecretString'])['key_hex']}"


def test_the_key_of_the_deployment_opens_the_api_and_the_log_tells_no_secret(
    process: tuple[subprocess.Popen[bytes], str, Path], environment: dict[str, str]
) -> None:
    running, url, log = process
    key = operator_key(environment)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120) as client:
        assert client.get("/tenants").status_code == 200
        task = TASK | {"task": "echo a very private task"}
        id_ = client.post("/dispatch", json=task, headers={"X-Request-ID": "trace-1"}).json()["data"]["id"]
        client.get(f"/dispatch/{id_}?logLimit=1")
        client.get("/health/live")
        client.get("/no/such/route")
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == -signal.SIGTERM
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert key not in text
    assert key.removeprefix("otp_") not in text
    assert "very private" not in text
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("GET", "/tenants", 200),
        ("POST", "/dispatch", 201),
        ("GET", "/dispatch/{dispatch_id}", 200),
        ("GET", None, 404),
    ]
    created = requests[1]
    assert (created["request_id"], created["tenant"], created["key"]) == ("trace-1", "operator", key[:12])
    assert created["ms"] > 0


def test_a_stop_under_load_fails_no_request_on_connections_kept_alive_or_new(
    process: tuple[subprocess.Popen[bytes], str, Path], environment: dict[str, str]
) -> None:
    running, url, _ = process
    headers = {"X-API-Key": operator_key(environment)}

    def load(kept_alive: bool) -> list[int]:
        """Ask as a load balancer does, until the replica closed the connection some times."""
        statuses, closed = [], 0
        with httpx.Client(timeout=120) as client:
            ask = client.post if kept_alive else httpx.post
            while closed < 5:
                response = ask(f"{url}/dispatch", json=TASK, headers=headers, timeout=120)
                statuses.append(response.status_code)
                closed += response.headers.get("Connection") == "close"
                started.set()
        return statuses

    started = Event()
    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(load, number % 2 == 0) for number in range(8)]
        assert started.wait(20)
        running.send_signal(signal.SIGTERM)
        assert {status for each in loads for status in each.result()} == {201}
    assert running.wait(25) == -signal.SIGTERM


def test_another_start_registers_nothing_new_and_revives_no_revoked_key(api: Api) -> None:
    tenants, key = api.stores.tenants, new_key()
    register_operator(tenants, key)
    first = tenants.find_key(hash_key(key))
    assert first is not None
    assert (first.tenant_id, set(first.scopes), first.status) == (OPERATOR, {Scope.ADMIN}, "active")
    revoked = tenants.change_key(first.sha256, status="revoked")
    register_operator(tenants, key)
    assert tenants.find_key(hash_key(key)) == revoked


def test_a_missing_variable_is_named(environment: dict[str, str]) -> None:
    environ = os.environ | environment | {"PYTHONPATH": ROOTS}
    del environ[Env.ARTIFACTS_BUCKET]
    done = subprocess.run(
        [sys.executable, "-m", "control_plane"], env=environ, capture_output=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert Env.ARTIFACTS_BUCKET in (done.stdout + done.stderr).decode()
