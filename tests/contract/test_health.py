"""Health: liveness touches nothing, readiness looks at what is needed, nobody sees another tenant's figures."""

from collections import Counter
from collections.abc import Callable, Iterator

import boto3
import httpx
import pytest
from botocore.exceptions import EndpointConnectionError

from control_plane.services import Services
from control_plane.services.health import Probes
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import OPERATOR, Overrides, Scope
from outpost.domain.workers import Worker, WorkerState
from tests.contract.running import TASK, Api, connect, refused, serve


@pytest.fixture
def anybody(api: Api) -> Iterator[httpx.Client]:
    """A client without a key."""
    with api.client() as client:
        yield client


def test_liveness_answers_and_touches_nothing(api: Api, anybody: httpx.Client) -> None:
    before = api.calls.made.total()
    assert anybody.get("/health/live").json()["data"] == {"status": "alive"}
    assert api.calls.made.total() == before


def test_health_tells_version_uptime_and_checks(anybody: httpx.Client) -> None:
    data = anybody.get("/health").json()["data"]
    assert (data["status"], data["version"]) == ("healthy", "9.8.7")
    assert data["uptime"] >= 0
    assert {name: check["status"] for name, check in data["checks"].items()} == dict.fromkeys(
        ("dynamodb", "s3", "efs", "worker-pool"), "pass"
    )


def test_readiness_reaches_tables_bucket_and_file_system(anybody: httpx.Client) -> None:
    response = anybody.get("/health/ready")
    assert response.status_code == 200
    assert set(response.json()["data"]) == {"dynamodb", "s3", "efs"}


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broken(api: Api, clock: Clock) -> Iterator[tuple[httpx.Client, dict[str, bool], list[str]]]:
    """A service whose needs fail as the test says, and a list of the checks that were made."""
    failing: dict[str, bool] = {}
    made: list[str] = []

    def probe(name: str) -> Callable[[], str]:
        def look() -> str:
            made.append(name)
            if failing.get(name):
                raise EndpointConnectionError(endpoint_url="https://secret-account-detail")
            return "answers"

        return look

    probes = {name: probe(name) for name in ("dynamodb", "s3", "efs", "worker-pool")}
    services: Services = api.replica(probes=Probes(probes, clock))
    with serve(services) as (url, _), httpx.Client(base_url=url, timeout=120) as client:
        yield client, failing, made


@pytest.mark.parametrize("need", ["dynamodb", "s3", "efs"])
def test_without_a_need_the_service_is_alive_but_not_ready(
    broken: tuple[httpx.Client, dict[str, bool], list[str]], clock: Clock, need: str
) -> None:
    client, failing, _ = broken
    failing[need] = True
    response = client.get("/health/ready")
    assert need in refused(response, 503, "SERVICE_UNAVAILABLE")["message"]
    assert int(response.headers["Retry-After"]) > 0
    assert client.get("/health/live").status_code == 200
    health = client.get("/health")
    assert (health.status_code, health.json()["data"]["status"]) == (200, "unhealthy")
    assert "secret-account-detail" not in health.text + response.text
    failing[need] = False
    clock.time += 10
    assert client.get("/health/ready").status_code == 200


def test_a_worker_pool_in_trouble_degrades_only(
    broken: tuple[httpx.Client, dict[str, bool], list[str]],
) -> None:
    client, failing, _ = broken
    failing["worker-pool"] = True
    assert client.get("/health/ready").status_code == 200
    assert client.get("/health").json()["data"]["status"] == "degraded"


def test_checks_are_made_every_ten_seconds_at_most(
    broken: tuple[httpx.Client, dict[str, bool], list[str]], clock: Clock
) -> None:
    client, _, made = broken
    for _ in range(3):
        client.get("/health")
        client.get("/health/ready")
    assert len(made) == 4
    clock.time += 10
    client.get("/health")
    assert len(made) == 8


def test_the_probes_look_at_the_real_things(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, anybody: httpx.Client
) -> None:
    name = f"{environment['OUTPOST_ARTIFACTS_BUCKET']}-second"
    boto3.client("s3").create_bucket(Bucket=name)
    monkeypatch.setenv("OUTPOST_ARTIFACTS_BUCKET", name)
    with serve(connect()[0]) as (url, _), httpx.Client(base_url=url, timeout=120) as client:
        assert client.get("/health/ready").status_code == 200
    boto3.client("s3").delete_bucket(Bucket=name)
    with serve(connect()[0]) as (url, _), httpx.Client(base_url=url, timeout=120) as client:
        assert "s3" in refused(client.get("/health/ready"), 503, "SERVICE_UNAVAILABLE")["message"]


def test_the_fleet_shows_the_callers_own_figures_only(api: Api, client: httpx.Client, stranger: httpx.Client) -> None:
    ids = [client.post("/dispatch", json=TASK).json()["data"]["id"] for _ in range(3)]
    for _ in range(5):
        stranger.post("/dispatch", json=TASK)
    row = api.claim(ids[0])
    lease = row.lease
    assert lease is not None
    data = client.get("/health/fleet").json()["data"]
    assert (data["slotsUsed"], data["agents"]["shell"]["busy"], data["totals"]) == (1, 1, None)
    reason = Reason.of(ReasonCode.COMPLETED, "Done.")
    api.advance(row.id, Start(lease, now()), Finish(lease, 0, now()), Report(lease, Status.SUCCESS, reason, now()))
    api.await_indexes()
    data = client.get("/health/fleet").json()["data"]
    assert (data["slotsUsed"], data["slots"], data["complete"]) == (0, 50, True)
    assert data["lastHour"] == {"success": 1, "pending": 2}
    shell = data["agents"]["shell"]
    assert (shell["available"], shell["pending"], shell["successRate"]) == (True, 2, 1.0)
    assert 0 <= shell["meanDurationSeconds"] < 60
    assert data["agents"]["claude"]["modelId"] == "claude-opus-5-5"
    assert data["agents"]["codex"]["available"] is False


def test_warm_tells_how_many_dispatches_would_start_at_once(api: Api) -> None:
    few = api.tenant(overrides=Overrides(concurrent=2))
    for number in range(3):
        api.stores.workers.idle(
            Worker(
                worker_id=f"idle-{number}",
                task_arn="arn",
                agent=Agent.CLAUDE,
                revision=1,
                worker_state=WorkerState.IDLE,
                launched_at=now(),
            )
        )
    api.services.fleet._states.clear()
    with api.client(api.key(few)) as limited, api.client(api.key(api.tenant())) as roomy:
        assert limited.get("/health/fleet").json()["data"]["agents"]["claude"]["warm"] == 2
        assert roomy.get("/health/fleet").json()["data"]["agents"]["claude"]["warm"] == 3


def test_the_operator_sees_the_platforms_totals(api: Api, client: httpx.Client) -> None:
    client.post("/dispatch", json=TASK)
    api.await_indexes()
    with api.client(api.key(OPERATOR, Scope.ADMIN)) as operator:
        totals = operator.get("/health/fleet").json()["data"]["totals"]
        assert set(totals["agents"]) == {"shell", "claude"}
        assert totals["live"] >= totals["agents"]["shell"]["pending"] >= 1
        before = Counter(api.calls.made)
        operator.get("/health/fleet")
    # The hour's dispatches, the slots, two agents' own and all pending, eight shards of the live; workers are known.
    assert dict(Counter(api.calls.made) - before) == {"dynamodb.Query": 1 + 1 + 2 + 2 + 8}


def test_the_fleet_needs_a_key(anybody: httpx.Client) -> None:
    refused(anybody.get("/health/fleet"), 401, "AUTHENTICATION_ERROR")
