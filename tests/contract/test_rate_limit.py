"""The rate limit of a key: told at each answer, enforced over all replicas, and cheap."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from control_plane.auth import CACHE_SECONDS, Authenticator
from control_plane.rate_limit import RateLimiter
from control_plane.services import Services
from outpost.domain.tenants import Overrides, Tenant
from outpost.store.tenants import Rates
from tests.contract.running import Api, refused, serve

LIMIT = 40
Clients = Callable[[str], list[httpx.Client]]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.time = 1_200_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def limited(api: Api) -> Tenant:
    return api.tenant(overrides=Overrides(requests_per_minute=LIMIT))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas(api: Api, clock: Clock) -> Iterator[Clients]:
    """Two replicas of the service, which have nothing in common but AWS: give a key, get a client of each."""

    def replica() -> Services:
        limiter = RateLimiter(Rates(api.database).lease, clock)
        return api.replica(authenticator=Authenticator(api.stores.tenants, clock), limiter=limiter)

    with ExitStack() as stack:
        urls = [stack.enter_context(serve(replica()))[0] for _ in range(2)]

        def clients(key: str) -> list[httpx.Client]:
            headers = {"X-API-Key": key}
            return [stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=120)) for url in urls]

        yield clients


def test_every_answer_tells_what_is_left_also_when_it_refuses(api: Api, limited: Tenant) -> None:
    with api.client(api.key(limited)) as client:
        responses = [client.get("/dispatch"), client.get("/dispatch/unknown"), client.get("/tenants")]
    assert [response.status_code for response in responses] == [200, 404, 403]
    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["39", "38", "37"]
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"40"}
    assert all(1 <= int(response.headers["X-RateLimit-Reset"]) <= 60 for response in responses)


def test_nothing_is_told_to_who_is_not_known(api: Api) -> None:
    with api.client() as client:
        for path in ("/dispatch", "/health"):
            assert not [name for name in client.get(path).headers if name.startswith("x-ratelimit")]


def test_over_the_limit_the_answer_says_when_to_come_back_and_then_it_works(
    api: Api, limited: Tenant, replicas: Clients, clock: Clock
) -> None:
    client, _ = replicas(api.key(limited))
    assert {client.get("/dispatch").status_code for _ in range(LIMIT)} == {200}
    response = client.get("/dispatch")
    refused(response, 429, "RATE_LIMIT_EXCEEDED")
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert response.headers["Retry-After"] == response.headers["X-RateLimit-Reset"]
    clock.time += int(response.headers["Retry-After"])
    assert client.get("/dispatch").status_code == 200


def test_two_replicas_together_admit_the_limit_within_ten_percent(api: Api, limited: Tenant, replicas: Clients) -> None:
    first, second = replicas(api.key(limited))
    admitted = int(second.get("/dispatch").is_success)  # and then this replica sees no more of the client
    admitted += sum(first.get("/dispatch").is_success for _ in range(LIMIT + 10))
    assert 0.9 * LIMIT <= admitted <= LIMIT
    admitted += sum(second.get("/dispatch").is_success for _ in range(10))
    assert admitted == LIMIT


def test_keys_do_not_share_a_limit(api: Api, limited: Tenant, replicas: Clients) -> None:
    (first, _), (second, _) = replicas(api.key(limited)), replicas(api.key(limited))
    assert [first.get("/dispatch").status_code for _ in range(LIMIT + 1)][-1] == 429
    assert second.get("/dispatch").status_code == 200


def test_requests_are_leased_in_blocks_and_a_refusal_costs_nothing(
    api: Api, limited: Tenant, replicas: Clients
) -> None:
    client, _ = replicas(api.key(limited))
    client.get("/dispatch")
    before = api.calls.made["dynamodb.UpdateItem"]
    for _ in range(LIMIT - 1):
        client.get("/dispatch")
    assert api.calls.made["dynamodb.UpdateItem"] - before < LIMIT / 2
    before = api.calls.made.total()
    assert {client.get("/dispatch").status_code for _ in range(5)} == {429}
    assert api.calls.made.total() == before


def test_a_burst_leases_for_all_who_wait_and_admits_the_limit(api: Api, clock: Clock) -> None:
    leased: list[int] = []
    counters = Rates(api.database)

    def lease(key: str, window: int, count: int) -> int:
        leased.append(count)
        return counters.lease(key, window, count)

    async def burst() -> list[bool]:
        limiter = RateLimiter(lease, clock)
        return [taken for _, taken in await asyncio.gather(*(limiter.take("burst", 60) for _ in range(70)))]

    assert sum(asyncio.run(burst())) == 60
    assert len(leased) <= 3


def test_a_revocation_and_a_suspension_reach_every_replica_within_thirty_seconds(
    api: Api, operator: httpx.Client, replicas: Clients, clock: Clock
) -> None:
    one, other = api.tenant(), api.tenant()
    issued = operator.post(f"/tenants/{one.id}/keys", json={"name": "x", "scopes": ["list"]}).json()["data"]
    revoked, suspended = replicas(issued["key"]), replicas(api.key(other))
    assert {client.get("/dispatch").status_code for client in revoked + suspended} == {200}
    operator.delete(f"/keys/{issued['id']}")
    operator.post(f"/tenants/{other.id}/suspend")
    clock.time += CACHE_SECONDS
    assert CACHE_SECONDS < 30
    assert {client.get("/dispatch").status_code for client in revoked} == {401}
    assert {client.get("/dispatch").status_code for client in suspended} == {403}
