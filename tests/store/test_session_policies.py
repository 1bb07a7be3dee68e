"""A session policy has room, however many secrets a dispatch names, and what STS refuses costs no attempt."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from broker.broker import Broker
from broker.credentials import MAX_POLICY_LENGTH, session_policies
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel
from outpost.domain.protocol import ClaimResponse
from outpost.domain.secrets import MAX_NAME_LENGTH, TenantSecret
from outpost.names import tenant_secrets_prefix
from outpost.store import database as database_module
from outpost.store.database import Database
from outpost.store.dispatch_rows import UnknownDispatchError
from outpost.store.dispatches import POSTPONED
from tests.launched import claim_request, launch

Store = Any
STS_LIMIT = 2_048
MOST = 20
"""Secrets that a dispatch may name, by the request's schema."""
NAMES = st.lists(st.text("ABCXYZ_019", min_size=1, max_size=MAX_NAME_LENGTH), max_size=MOST, unique=True)


def row_of(tenant_id: str) -> Dispatch:
    at = now()
    spec = Spec(agent=Agent.SHELL)
    return Dispatch(
        id=new_id(), tenant_id=tenant_id, created_by="otp_", spec=spec, expires_at=1, created_at=at, queued_at=at,
        attempt=3,
    )  # fmt: skip


def arn_of(tenant_id: str, name: str) -> str:
    """The longest ARN that a secret can have: of the region and an environment with the longest names."""
    secret = f"{tenant_secrets_prefix('e' * 16)}{tenant_id}/{name}-AbCdEf"
    return f"arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:{secret}"


@given(tenant_id=st.text("abc-9", min_size=1, max_size=40), names=NAMES)
def test_no_policy_is_near_the_limit_and_each_secret_is_named_once_and_whole(tenant_id: str, names: list[str]) -> None:
    arns = [arn_of(tenant_id, name) for name in names]
    policies = session_policies("b" * 63, row_of(tenant_id), arns)
    assert all(len(policy.text) <= MAX_POLICY_LENGTH < STS_LIMIT * 0.7 for policy in policies)
    named = [arn for policy in policies for arn in policy.arns]
    assert named == arns
    for policy in policies:
        statements = json.loads(policy.text)["Statement"]
        given_arns = [s["Resource"] for s in statements if s["Action"] == "secretsmanager:GetSecretValue"]
        assert given_arns == ([list(policy.arns)] if policy.arns else [])
    assert all("s3:" not in policy.text for policy in policies[1:])


def ask(broker: Broker) -> ClaimResponse:
    response = broker.handle(claim_request(launch(broker.store.workers)))
    assert isinstance(response, ClaimResponse)
    return response


def refusing(monkeypatch: pytest.MonkeyPatch, broker: Broker, code: str) -> list[str]:
    """Let STS refuse the first session; return the policies that it was asked for."""
    client, asked = broker.credentials._client, list[str]()
    assume = client.assume_role

    def assume_role(**request: Any) -> Any:  # noqa: ANN401 - boto3's request and response
        asked.append(request["Policy"])
        if len(asked) == 1:
            raise ClientError({"Error": {"Code": code, "Message": "packed size is 112 %"}}, "AssumeRole")
        return assume(**request)

    monkeypatch.setattr(client, "assume_role", assume_role)
    return asked


def test_a_session_that_is_throttled_costs_no_attempt_and_leaves_nothing_claimed(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = store.dispatch()
    refusing(monkeypatch, broker, "ThrottlingException")
    with pytest.raises(ClientError):
        ask(broker)
    assert store.dispatches.get(row.id) == row
    assert store.slots.of("acme").taken == {}
    later = replace(broker, now=lambda: now() + POSTPONED)
    assert ask(later).assignment.lease.token == 1  # type: ignore[union-attr]


def test_a_dispatch_that_cannot_be_prepared_holds_up_none_of_its_tenant(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it fails with: here its text is gone."""
    spoilt, sound, at = store.dispatch(), store.dispatch(), now()
    broker = replace(broker, now=lambda: at)  # the first is left alone for seconds only
    task = broker.store.dispatches.task

    def missing(dispatch_id: str) -> str:
        if dispatch_id == spoilt.id:
            raise UnknownDispatchError(dispatch_id)
        return task(dispatch_id)

    monkeypatch.setattr(broker.store.dispatches, "task", missing)
    with pytest.raises(UnknownDispatchError):
        ask(broker)
    assert ask(broker).assignment.dispatch_id == sound.id  # type: ignore[union-attr]
    assert ask(broker).assignment is None
    assert store.dispatches.get(spoilt.id) == spoilt


def test_a_dispatch_that_fails_again_waits_ever_longer_but_a_minute_at_most(store: Store) -> None:
    row, at = store.dispatch(), now()
    for seconds in (5, 10, 20, 40, 60, 60):
        store.dispatches.postpone(row, at)
        wait = timedelta(seconds=seconds)
        for moment, ids in ((at + wait - timedelta(seconds=1), []), (at + wait, [row.id])):
            assert store.dispatches.live.queued("shell", "acme", limit=1, at=moment) == ids
            assert [queue.ids for queue in store.dispatches.live.queues("shell", moment)] == [ids]


def test_failures_of_many_dispatches_take_a_claim_no_longer_than_the_function_has(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when STS hangs: each one takes seconds to fail."""
    clock = [now()]

    def hangs(**_: object) -> None:
        clock[0] += timedelta(seconds=5)
        raise ConnectTimeoutError(endpoint_url="https://sts")

    for number in range(4):
        store.dispatch(f"tenant-{number}")
    for number in range(4):
        tenant = store.tenants.get("acme").model_copy(update={"id": f"tenant-{number}"})
        store.tenants.add(tenant)
    monkeypatch.setattr(broker.credentials._client, "assume_role", hangs)
    request = claim_request(launch(broker.store.workers))
    begun = clock[0]
    with pytest.raises(ConnectTimeoutError):
        replace(broker, now=lambda: clock[0]).handle(request)
    assert clock[0] - begun == timedelta(seconds=5)


def test_what_one_tenants_dispatch_needs_holds_up_no_other_tenant(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.dispatch("acme")
    other = store.dispatch("globex")
    refusing(monkeypatch, broker, "ThrottlingException")
    assert ask(broker).assignment.dispatch_id == other.id  # type: ignore[union-attr]


@pytest.mark.parametrize("code", ["PackedPolicyTooLarge", "MalformedPolicyDocument"])
def test_a_dispatch_whose_policy_is_refused_ends_with_a_reason_and_the_next_one_is_served(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    refused, following = store.dispatch(), store.dispatch()
    refusing(monkeypatch, broker, code)
    ask(broker)
    ended = store.dispatches.get(refused.id)
    assert (ended.status, ended.attempt) == (Status.FAILED, 0)
    assert "packed size is 112 %" in ended.reason.message
    assert ask(broker).assignment.dispatch_id == following.id  # type: ignore[union-attr]


def test_a_dispatch_that_two_workers_find_refused_fails_neither(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = store.dispatch()
    refusing(monkeypatch, broker, "PackedPolicyTooLarge")
    spoilt = broker.credentials._client.assume_role

    def cancelled_meanwhile(**request: Any) -> Any:  # noqa: ANN401 - boto3's request and response
        store.dispatches.change(refused.id, Cancel(None, now()))
        return spoilt(**request)

    monkeypatch.setattr(broker.credentials._client, "assume_role", cancelled_meanwhile)
    assert ask(broker).assignment is None
    assert store.dispatches.get(refused.id).status is Status.CANCELLED


def test_contention_for_one_tenants_slots_holds_up_no_other_tenant(
    store: Store, broker: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.dispatch("acme")
    other = store.dispatch("globex")
    transact = database.client.transact_write_items

    def contended(TransactItems: Any) -> Any:  # noqa: ANN401, N803 - boto3's request and response
        if "TENANT#acme" in str(TransactItems):
            reasons = [{"Code": "TransactionConflict"} for _ in TransactItems]
            error = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(error, "TransactWriteItems")  # type: ignore[arg-type]
        return transact(TransactItems=TransactItems)

    monkeypatch.setattr(database_module, "PAUSE", 0.001)
    monkeypatch.setattr(database.client, "transact_write_items", contended)
    assert ask(broker).assignment.dispatch_id == other.id  # type: ignore[union-attr]


def test_an_assignment_with_many_secrets_has_credentials_for_each(store: Store, broker: Broker) -> None:
    names = [f"{'N' * 60}_{number:02d}" for number in range(MOST)]
    for name in names:
        secret = TenantSecret(name=name, arn=arn_of("acme", name), updated_at=now())
        store.tenants.add_secret("acme", secret)
    store.dispatch(additional_secrets=names)
    assignment = ask(broker).assignment
    assert assignment is not None
    more = [arn for each in assignment.secret_credentials for arn in each.arns]
    assert len(more) == len(set(more)) >= MOST - 6
    assert set(more) < set(assignment.secrets.values())
    keys = {each.credentials.access_key_id for each in assignment.secret_credentials}
    assert len(keys | {assignment.credentials.access_key_id}) == len(assignment.secret_credentials) + 1
