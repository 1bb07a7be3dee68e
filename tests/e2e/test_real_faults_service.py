"""Real faults of the service's replicas, and its rolling restart, under load; each is measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from outpost_client import Client
from outpost_client.models import DispatchRequest, Limits
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import api_url, operator_key
from tests.e2e.changing import Changing
from tests.e2e.conftest import SCOPES
from tests.e2e.kept_connections import CLOSED, kept_connections
from tests.e2e.noticed import SLACK, noticing
from tests.e2e.steady_load import Request, steady_load
from tests.e2e.test_audit import verified
from tests.eventually import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

REPLICAS = 2


@dataclass(frozen=True)
class Service:
    """The service with two replicas, and a key of a tenant."""

    environment: LocalEnvironment
    url: str
    key: str
    requests: list[Request]

    def describe(self) -> dict[str, Any]:
        ecs = self.environment.client("ecs")
        (cluster,) = ecs.list_clusters()["clusterArns"]
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        (found,) = ecs.describe_services(cluster=cluster, services=arns)["services"]
        service: dict[str, Any] = found
        return service

    def restart(self) -> None:
        service = self.describe()
        self.environment.client("ecs").update_service(
            cluster=service["clusterArn"], service=service["serviceName"], forceNewDeployment=True
        )

    def replicas(self) -> dict[str, str]:
        """Return the tasks that run: id -> address."""
        service, ecs = self.describe(), self.environment.client("ecs")
        arns = ecs.list_tasks(cluster=service["clusterArn"], serviceName=service["serviceName"])["taskArns"]
        tasks = ecs.describe_tasks(cluster=service["clusterArn"], tasks=arns)["tasks"] if arns else []
        return {
            task["taskArn"].rpartition("/")[2]: detail["value"]
            for task in tasks
            if task["lastStatus"] == "RUNNING"
            for attachment in task["attachments"]
            for detail in attachment["details"]
            if detail["name"] == "privateIPv4Address"
        }

    def healthy(self) -> set[str]:
        """Return the addresses to which the load balancer sends requests."""
        elb = self.environment.client("elbv2")
        found = elb.describe_target_health(TargetGroupArn=self.describe()["loadBalancers"][0]["targetGroupArn"])
        return {
            each["Target"]["Id"]
            for each in found["TargetHealthDescriptions"]
            if each["TargetHealth"]["State"] == "healthy"
        }

    def is_steady(self, without: set[str]) -> bool:
        """Return whether both replicas run and are healthy, and none of these is among them."""
        replicas = self.replicas()
        return (
            len(replicas) == REPLICAS
            and not without & replicas.keys()
            and set(replicas.values()) == self.healthy()
            and len(self.describe()["deployments"]) == 1
        )

    def processes(self, task_id: str) -> list[psutil.Process]:
        return self.environment.task_processes(task_id)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Service]:
    changing = Changing(tmp_path_factory.mktemp("service"), (unused_port(), unused_port(), unused_port()), "local")
    changing.environment.start()
    try:
        changing.deploy(("minimum = 1", f"minimum = {REPLICAS}"))
        url = api_url(changing.environment)
        with Client(url, operator_key(changing.environment)) as operator:
            eventually(operator.ready, within=60 + SLACK, what="the service is ready")
            operator.create_tenant("load", "Load", "enterprise", Limits(requests_per_minute=1_000_000))
            key = operator.create_key("load", "load", SCOPES).key
        with Client(url, key) as client:
            body = DispatchRequest(agent="shell", task="echo one dispatch")
            dispatch = client.dispatch(body, "load-1")
            eventually(lambda: client.status(dispatch.id).status.terminal, within=120, what="the dispatch ends")
        repeated = body.model_dump(by_alias=True, exclude_none=True)
        reads = [
            Request("GET", f"/dispatch/{dispatch.id}"),
            Request("GET", "/dispatch?limit=5"),
            Request("GET", f"/dispatch/{dispatch.id}/logs"),
            Request("GET", "/health/live"),
        ]
        requests = [*reads, *reads, Request("POST", "/dispatch", repeated, {"Idempotency-Key": "load-1"})]
        found = Service(changing.environment, url, key, requests)
        eventually(lambda: found.is_steady(set()), within=60 + SLACK, what="both replicas are healthy")
        yield found
    finally:
        changing.environment.stop()


def test_a_rolling_restart_under_load_fails_no_request(service: Service) -> None:
    before, path = service.replicas(), service.requests[0].path
    with ExitStack() as stack:
        load = stack.enter_context(steady_load(service.url, service.key, service.requests, per_second=50))
        kept = [stack.enter_context(kept_connections(each, path, service.key)) for each in before.values()]
        eventually(lambda: load.served > 100, what="the load is served")
        with noticing("test_a_rolling_restart_under_load_fails_no_request") as bound:
            service.restart()
            eventually(lambda: service.is_steady(set(before)), within=bound, what="both replicas are new")
        ends = {use.result(60 + SLACK) for uses in kept for use in uses}
        eventually(lambda: not any(map(service.processes, before)), within=60 + SLACK, what="the old replicas end")
        served = load.served
        eventually(lambda: load.served > served + 100, what="the load is served by the new replicas")
    assert load.wrong == []
    assert load.failures == []
    assert ends == {CLOSED}


def test_a_killed_replica_is_replaced_and_the_other_one_serves(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = next(iter(service.replicas()))
    with steady_load(service.url, service.key, service.requests, per_second=20) as load:
        eventually(lambda: load.served > 20, what="the load is served")
        with noticing("test_a_killed_replica_is_replaced_and_the_other_one_serves") as bound:
            killed = time.monotonic()
            for process in service.processes(victim):
                with suppress(psutil.NoSuchProcess):  # it ended with the one before
                    process.kill()
            eventually(lambda: service.is_steady({victim}), within=bound, what="another replica is healthy")
        steady, served = time.monotonic(), load.served
        eventually(lambda: load.served > served + 40, what="the load is served by both")
    assert load.wrong == []
    assert [each for each in load.failures if each.at > steady] == [], killed
    assert not service.processes(victim)
    assert_proved(service, monkeypatch)


def test_a_stopped_replica_gets_no_requests_and_is_replaced(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, address = next(iter(service.replicas().items()))
    processes = service.processes(victim)
    with steady_load(service.url, service.key, service.requests, per_second=20, timeout=5) as load:
        eventually(lambda: load.served > 20, what="the load is served")
        with noticing("test_a_stopped_replica_gets_no_requests_and_is_replaced") as bound:
            for process in processes:
                process.suspend()
            eventually(lambda: address not in service.healthy(), within=bound, what="the replica is unhealthy")
        eventually(lambda: service.is_steady({victim}), within=120 + SLACK, what="another replica is healthy")
        served = load.served
        eventually(lambda: load.served > served + 40, what="the load is served by both")
    assert load.wrong == []
    for process in reversed(processes):
        with suppress(psutil.NoSuchProcess):  # a task that does not stop in its time is killed
            process.resume()
    eventually(lambda: not service.processes(victim), within=60 + SLACK, what="the replica that was replaced ends")
    assert_proved(service, monkeypatch)


def assert_proved(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify that no record of the audit log is missing or wrong, but what a killed replica may not have written."""
    code, report = verified(service.environment, monkeypatch)
    unfinished = [each for each in report["findings"] if each["kind"] == "unfinished"]  # of a killed one, after a while
    assert (code, report["findings"]) == (3 if unfinished else 0, unfinished)
