"""What tenants are promised, in a whole environment: secrets, live events, one at a time, and a record of it all."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import pairwise
from statistics import quantiles
from typing import Any

import pytest

from outpost.domain.ids import now
from outpost.names import audit_log_group
from outpost_client import ApiError, Client
from outpost_client.models import Dispatch, DispatchRequest, Limits, LogLine
from outpost_client.results import Status
from outpost_local.first_run import api_url, operator_key
from outpost_ops.cli.audit import records
from tests.e2e.conftest import SCOPES
from tests.eventually import eventually

Outpost = Any
QUEUED = 500
WATCHED = 6


@pytest.fixture
def operator(outpost: Outpost) -> Iterator[Client]:
    with Client(api_url(outpost.environment), operator_key(outpost.environment)) as client:
        yield client


@contextmanager
def admitted(outpost: Outpost, operator: Client, name: str, limits: Limits) -> Iterator[Client]:
    """A client of a new tenant."""
    operator.create_tenant(name, name, "enterprise", limits)
    with Client(outpost.client.url, operator.create_key(name, "end-to-end", SCOPES).key) as client:
        yield client


def test_a_secret_reaches_the_agent_that_names_it_and_no_log(outpost: Outpost, operator: Client) -> None:
    value = "v4lue-of-the-deploy-token"
    operator.set_secret("acme", "DEPLOY_TOKEN", value)
    task = 'echo "hash $(printf %s "$DEPLOY_TOKEN" | sha256sum)"\necho "token is $DEPLOY_TOKEN."\n'
    given = outpost.dispatch(task, additional_secrets=["DEPLOY_TOKEN"])
    without = outpost.dispatch(task)
    assert {outpost.ends(each.id).status for each in (given, without)} == {Status.SUCCESS}
    log = outpost.log(given.id)
    assert f"hash {hashlib.sha256(value.encode()).hexdigest()}  -" in log
    assert "token is [REDACTED:DEPLOY_TOKEN]." in log
    assert value not in outpost.artifact(given.id, "output.log").decode()
    assert "token is ." in outpost.log(without.id)


def test_a_secret_deleted_while_a_dispatch_waits_fails_it_by_name(outpost: Outpost, operator: Client) -> None:
    limits = Limits(concurrent=1, requests_per_minute=100_000)
    with admitted(outpost, operator, "forgetful", limits) as client:
        operator.set_secret("forgetful", "DEPLOY_TOKEN", "v4lue-of-the-deploy-token")
        first = client.dispatch(DispatchRequest(agent="shell", task="sleep 4; echo first"))
        request = DispatchRequest(agent="shell", task="echo second", additional_secrets=["DEPLOY_TOKEN"])
        second = client.dispatch(request)
        operator.delete_secret("forgetful", "DEPLOY_TOKEN")
        *_, ended = client.watch(first.id)
        *_, failed = client.watch(second.id)
    assert isinstance(ended, Dispatch)
    assert isinstance(failed, Dispatch)
    assert ended.status is Status.SUCCESS
    assert failed.reason is not None
    assert (failed.status, failed.reason.code) == (Status.FAILED, "SECRET_UNAVAILABLE")
    assert "DEPLOY_TOKEN" in failed.reason.message


def test_states_and_lines_are_told_as_they_happen(
    outpost: Outpost, record_property: Callable[[str, object], None]
) -> None:
    task = "for number in $(seq 20); do echo line $number; sleep 0.4; done"
    dispatch = outpost.dispatch(task)
    states: list[float] = []
    lines: list[float] = []
    for event in outpost.client.watch(dispatch.id):
        at = now()
        if isinstance(event, LogLine):
            lines.append((at - event.timestamp).total_seconds())
        else:
            states.append((at - _since(event)).total_seconds())
            last = event
    assert last.status is Status.SUCCESS
    slowest_states, slowest_lines = max(states), quantiles(lines, n=20)[-1]
    record_property("status to client, slowest", slowest_states)
    record_property("line to client, p95", slowest_lines)
    print(f"status to client, slowest {slowest_states:.2f} s; line to client, p95 {slowest_lines:.2f} s")
    # The bars are 1 s and 4 s; a busy machine may take longer, but never as long as looking again and again would.
    assert slowest_states < 10
    assert slowest_lines < 15


def _since(dispatch: Dispatch) -> datetime:
    """Return when a dispatch came into its state, as far as its times tell."""
    times = (dispatch.ended_at, dispatch.completing_at, dispatch.running_at, dispatch.provisioning_at)
    return next((time for time in times if time), dispatch.created_at)


@pytest.mark.full
def test_a_long_queue_of_one_at_a_time_keeps_one_worker_busy_and_fills_no_dead_letters(
    outpost: Outpost, operator: Client
) -> None:
    limits = Limits(concurrent=1, daily=10_000, requests_per_minute=100_000)
    with admitted(outpost, operator, "queueing", limits) as client:
        request = DispatchRequest(agent="shell", task="echo one at a time")
        # What is measured begins when all of them wait.
        first = client.dispatch(DispatchRequest(agent="shell", task="sleep 15; echo one at a time"))
        with ThreadPoolExecutor(4) as pool:
            queued = pool.map(lambda _: client.dispatch(request), range(QUEUED))
            ids = [first.id, *sorted(each.id for each in queued)]
        most = 0

        def enough() -> bool:
            nonlocal most
            most = max(most, len(outpost.workers()))
            return client.status(ids[WATCHED - 1]).status.terminal

        eventually(enough, within=120, what=f"{WATCHED} of {QUEUED} have ended")
        other = outpost.ends(outpost.dispatch("echo of a tenant that queues nothing").id)
        served = [client.status(id_) for id_ in ids[:WATCHED]]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda id_: _cancelled(client, id_), ids[WATCHED:]))
        eventually(lambda: not client.dispatches({"status": "running"}).items, within=60, what="the last has ended")
    starts = [each.provisioning_at for each in served if each.provisioning_at]
    ends = [each.ended_at for each in served if each.ended_at]
    assert len(starts) == len(ends) == WATCHED
    assert all(later >= end for end, (_, later) in zip(ends, pairwise(starts), strict=False))
    gaps = [(start - end).total_seconds() for end, start in zip(ends, starts[1:], strict=False)]
    waited = (other.provisioning_at - other.created_at).total_seconds() if other.provisioning_at else None
    print(f"from the end of one to the claim of the next: {', '.join(f'{gap:.1f}' for gap in gaps)} s; workers {most}")
    print(f"from another tenant's request to its claim, meanwhile: {waited} s")
    # The bar is 2 s, on a machine that does nothing else; behind the queue, the other tenant would wait for minutes.
    assert max(gaps) < 30
    assert waited is not None
    assert waited < 30
    assert most <= 5
    assert dead_letters(outpost) == {}


def _cancelled(client: Client, dispatch_id: str) -> None:
    with suppress(ApiError):  # it has ended meanwhile
        client.cancel(dispatch_id)


def dead_letters(outpost: Outpost) -> dict[str, int]:
    """The dead-letter queues that hold anything."""
    sqs = outpost.environment.client("sqs")
    queues = [url for url in sqs.list_queues().get("QueueUrls", []) if "Dead" in url]
    assert queues
    counts = {
        url: int(
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"][
                "ApproximateNumberOfMessages"
            ]
        )
        for url in queues
    }
    return {url: count for url, count in counts.items() if count}


def test_every_call_and_every_change_of_state_is_on_record(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo on record")
    ended = outpost.ends(dispatch.id)
    logs = outpost.environment.client("logs")

    def look() -> list[dict[str, Any]]:
        found = list(records(logs, audit_log_group("local"), 0, {"dispatch": dispatch.id}))
        final = any(each.get("status") == "success" for each in found)
        asked = any(each["audit"] == "call" for each in found)
        return found if final and asked else []

    found = eventually(look, within=60, what="the records of a dispatch")
    states = [(each["before"], each["status"]) for each in found if each["audit"] == "state"]
    assert list(dict.fromkeys(states)) == [
        (None, "pending"),
        ("pending", "provisioning"),
        ("provisioning", "running"),
        ("running", "completing"),
        ("completing", "success"),
    ]
    calls = {(each["method"], each["route"], each["tenant"]) for each in found if each["audit"] == "call"}
    assert ("GET", "/dispatch/{dispatch_id}", "acme") in calls
    assert ended.reason is not None
    assert "on record" not in json.dumps(found)
