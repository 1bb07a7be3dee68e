"""The broker serves tenants fairly, answers repetitions alike, and gives an attempt exactly its own credentials."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from broker.broker import Broker
from broker.claim import LINGER, retires
from broker.credentials import session_policies
from broker.forge import Forge
from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.dispatch import Lease, Promotion, Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, Lose
from outpost.domain.protocol import (
    Assignment,
    ClaimResponse,
    EndedRequest,
    ForgeTokenRequest,
    ForgeTokenResponse,
    GrantRequest,
    GrantResponse,
    LeaseResponse,
    RenewRequest,
    ReportRequest,
    SavedRequest,
    StartedRequest,
)
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import WorkerState
from outpost.domain.workspaces import QUOTAS, Workspace, expiry
from outpost.store.database import Database
from tests.launched import claim_request, launch

Store = Any


def ask(broker: Broker, worker_id: str | None = None) -> ClaimResponse:
    response = broker.handle(claim_request(launch(broker.store.workers, worker_id=worker_id)))
    assert isinstance(response, ClaimResponse)
    return response


def assigned(broker: Broker, worker_id: str | None = None) -> Assignment:
    assignment = ask(broker, worker_id).assignment
    assert assignment is not None
    return assignment


def lease_response(broker: Broker, request: Any) -> LeaseResponse:  # noqa: ANN401 - any request that shows a lease
    response = broker.handle(request)
    assert isinstance(response, LeaseResponse)
    return response


def test_a_worker_gets_task_token_prefix_and_credentials(store: Store, broker: Broker) -> None:
    row = store.dispatch()
    assignment = assigned(broker, "w1")
    assert assignment.dispatch_id == row.id
    assert assignment.lease == Lease(worker_id="w1", token=1)
    assert assignment.task == "echo hello"
    assert assignment.prefix == f"tenants/acme/dispatches/{row.id}/1/"
    assert now() < assignment.credentials.expires_at <= now() + timedelta(hours=1)


def test_nothing_to_do_is_an_answer(broker: Broker) -> None:
    assert ask(broker) == ClaimResponse()


def test_a_lost_answer_is_given_again_and_a_second_task_never(store: Store, broker: Broker) -> None:
    store.dispatch()
    store.dispatch()
    first = assigned(broker, "w1")
    assert assigned(broker, "w1").dispatch_id == first.dispatch_id
    lease_response(broker, StartedRequest(dispatch_id=first.dispatch_id, lease=first.lease))
    assert ask(broker, "w1") == ClaimResponse(retire=True)


def test_one_tenants_long_queue_does_not_delay_anothers_first_task(store: Store, broker: Broker) -> None:
    for _ in range(20):
        store.dispatch("acme")
    first = assigned(broker)
    late = store.dispatch("globex")
    assert first.tenant_id == "acme"
    assert assigned(broker).dispatch_id == late.id


def test_a_suspended_tenants_work_waits(store: Store, broker: Broker) -> None:
    store.dispatch()
    store.tenants.change("acme", status="suspended")
    assert ask(broker).assignment is None
    store.tenants.change("acme", status="active")
    assert ask(broker).assignment is not None


def test_a_tenant_that_is_suspended_while_its_work_is_claimed_gets_no_credentials(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, read = store.dispatch(), broker.store.dispatches.task

    def suspended_meanwhile(dispatch_id: str) -> str:
        store.tenants.change("acme", status="suspended")
        return read(dispatch_id)

    with monkeypatch.context() as patch:
        patch.setattr(broker.store.dispatches, "task", suspended_meanwhile)
        assert ask(broker) == ClaimResponse(retire=True)
    waiting = store.dispatches.get(row.id)
    assert (waiting.status, waiting.lease, store.slots.of("acme").taken) == (Status.PENDING, None, {})
    store.tenants.change("acme", status="active")
    assert assigned(broker).dispatch_id == row.id


def test_a_suspended_tenants_running_work_gets_no_new_credentials_tokens_or_money(
    store: Store, with_forge: Broker
) -> None:
    store.tenants.change("acme", repositories=("owner/name",))
    row = store.dispatch(repo="owner/name", max_cost_usd=5.0)
    got = assigned(with_forge)
    held = {"dispatch_id": row.id, "lease": got.lease}
    requests = (RenewRequest(want_credentials=True, **held), ForgeTokenRequest(**held), GrantRequest(micros=1, **held))
    store.tenants.change("acme", status="suspended")
    renewed, token, grant = (with_forge.handle(request) for request in requests)
    assert renewed == LeaseResponse(live=True)
    assert token == ForgeTokenResponse(live=True, refused="tenant acme is suspended")
    assert grant == GrantResponse(live=True, refused="suspended tenant acme")
    store.tenants.change("acme", status="active")
    renewed, token, grant = (with_forge.handle(request) for request in requests)
    assert renewed.credentials  # type: ignore[union-attr]
    assert token.token  # type: ignore[union-attr]
    assert grant.refused is None  # type: ignore[union-attr]


def test_a_tenant_never_gets_more_than_its_slots(store: Store, broker: Broker) -> None:
    for _ in range(5):
        store.dispatch("globex")
    assert [ask(broker).assignment is not None for _ in range(4)] == [True, True, False, False]


def test_an_attempt_runs_from_claim_to_success(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    done = Reason.of(ReasonCode.COMPLETED, "ok")
    requests = [
        StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease),
        RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease, progress="half way"),
        EndedRequest(dispatch_id=got.dispatch_id, lease=got.lease, exit_code=0),
        ReportRequest(dispatch_id=got.dispatch_id, lease=got.lease, outcome=Status.SUCCESS, reason=done),
    ]
    with store.reads() as reads:
        assert [lease_response(broker, request).live for request in requests] == [True] * 4
    assert reads.calls["GetItem"] == 4  # the row, once for each
    row = store.dispatches.get(got.dispatch_id)
    assert (row.status, row.exit_code, row.reason.code) == (Status.SUCCESS, 0, ReasonCode.COMPLETED)
    assert row.progress == "half way"


def test_a_request_whose_answer_was_lost_may_be_repeated(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    started = StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease)
    assert lease_response(broker, started).live
    assert lease_response(broker, started).live


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_a_worker_that_is_declared_lost_starts_no_agent(store: Store, broker: Broker, repeated: bool) -> None:
    """Its dispatch is about to be closed, and goes to another worker where nothing was started."""
    store.dispatch()
    got = assigned(broker)
    started = StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease)
    if repeated:
        assert lease_response(broker, started).live
    before = store.dispatches.get(got.dispatch_id)
    assert store.workers.mark_lost(store.workers.get(Agent.SHELL, got.lease.worker_id))
    assert lease_response(broker, started) == LeaseResponse(live=False)
    assert store.dispatches.get(got.dispatch_id) == before


def test_the_start_of_an_agent_counts_as_a_heartbeat(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    read = store.workers.get(Agent.SHELL, got.lease.worker_id)
    lease_response(broker, StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease))
    assert not store.workers.mark_lost(read)


def test_a_worker_that_lost_its_lease_is_told_so_and_changes_nothing(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    lost = Reason.of(ReasonCode.WORKER_LOST, "gone")
    store.dispatches.change(got.dispatch_id, Lose(got.lease, lost, now()))
    before = store.dispatches.get(got.dispatch_id)
    done = Reason.of(ReasonCode.COMPLETED, "ok")
    for request in (
        StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease),
        RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease, want_credentials=True),
        EndedRequest(dispatch_id=got.dispatch_id, lease=got.lease, exit_code=0),
        ReportRequest(dispatch_id=got.dispatch_id, lease=got.lease, outcome=Status.SUCCESS, reason=done),
    ):
        assert lease_response(broker, request) == LeaseResponse(live=False)
    assert store.dispatches.get(got.dispatch_id) == before


def test_a_cancel_reaches_the_worker_with_its_next_heartbeat(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    lease_response(broker, StartedRequest(dispatch_id=got.dispatch_id, lease=got.lease))
    store.dispatches.change(got.dispatch_id, Cancel("enough", now()))
    assert lease_response(broker, RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease)).cancel


def test_credentials_are_renewed_on_request_only(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    renew = RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease)
    assert lease_response(broker, renew).credentials is None
    wanted = lease_response(broker, renew.model_copy(update={"want_credentials": True})).credentials
    assert wanted is not None
    assert wanted.access_key_id != got.credentials.access_key_id


def test_a_long_line_of_progress_is_written_once_shortened(store: Store, broker: Broker) -> None:
    store.dispatch()
    got = assigned(broker)
    renew = RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease, progress="\N{GRINNING FACE}" * 500)
    lease_response(broker, renew)
    first = store.dispatches.get(got.dispatch_id)
    assert renew.progress
    assert first.progress
    assert renew.progress.startswith(first.progress)
    lease_response(broker, renew)
    assert store.dispatches.get(got.dispatch_id).version == first.version


def test_a_session_policy_names_the_attempts_prefix_and_secrets_and_nothing_else(store: Store) -> None:
    row = store.dispatch().model_copy(update={"attempt": 2})
    (policy,) = session_policies("bucket", row, ["arn:secret"])
    assert f"arn:aws:s3:::bucket/tenants/acme/dispatches/{row.id}/2/*" in policy.text
    assert '"secretsmanager:GetSecretValue","Resource":["arn:secret"]' in policy.text
    (without,) = session_policies("bucket", row, [])
    assert "secretsmanager" not in without.text


def test_idle_workers_beyond_the_warm_target_leave_after_a_little(store: Store) -> None:
    idle = {"worker_state": WorkerState.IDLE, "proven": True}
    old = store.worker().model_copy(update=idle | {"idle_since": now() - LINGER})
    young = old.model_copy(update={"worker_id": "young", "launched_at": now(), "idle_since": now()})
    assert retires(old, [old, young], 0, now())
    assert not retires(young, [old, young], 0, now())
    assert not retires(old, [old, young], 2, now())
    assert retires(old, [old, young], 1, now())
    unproven = young.model_copy(update={"proven": False})
    assert not retires(old, [old, unproven], 1, now())  # it is no supply, and takes nobody's place


def test_an_assignment_names_the_tenants_notes_and_no_others(store: Store, broker: Broker) -> None:
    s3 = boto3.client("s3")
    for key in ("context/acme/10-style.md", "context/acme/notes.txt", "context/acme/deep/x.md", "context/globex/10.md"):
        s3.put_object(Bucket="artifacts", Key=key, Body=b"note")
    store.dispatch()
    assert assigned(broker).context == ("context/acme/10-style.md",)


def test_an_attempt_may_read_its_tenants_notes_only(store: Store) -> None:
    (policy,) = session_policies("artifacts", store.dispatch(), [])
    assert "artifacts/context/acme/*" in policy.text
    assert "artifacts/context/*" not in policy.text


def test_only_the_live_holder_of_a_workspace_accounts_for_its_size(
    store: Store, broker: Broker, database: Database
) -> None:
    id_, at = new_id(), now()
    row = store.dispatch().model_copy(
        update={"spec": Spec(agent=Agent.SHELL, workspace_mode="persistent", workspace_id=id_), "id": new_id()}
    )
    made = Workspace(id=id_, tenant_id="acme", created_at=at, used_at=at, expires_at=expiry(at), dispatch_id=row.id)
    store.dispatches.create(row, "echo hello", 10**6, workspace=[broker.store.workspaces.creating(made)])
    while (assignment := assigned(broker)).dispatch_id != row.id:
        pass
    assert assignment.workspace_room == QUOTAS["free"].size_bytes
    request = SavedRequest(dispatch_id=row.id, lease=assignment.lease, size_bytes=42)
    stale = request.model_copy(update={"lease": Lease(worker_id="other", token=1)})
    assert broker.handle(stale) == LeaseResponse(live=False)
    assert broker.handle(request) == LeaseResponse(live=True)
    found = broker.store.workspaces.get("acme", id_)
    assert found is not None
    assert found.size_bytes == 42


def promotion(source_id: str) -> Promotion:
    return Promotion(
        dispatch_id=source_id,
        attempt=2,
        base_commit="4" * 40,
        branch="outpost/x",
        committed_at=now(),
        fingerprint="",
    )


def test_an_agent_may_be_silent_as_long_as_its_environment_says_or_else_the_catalogue(
    store: Store, broker: Broker
) -> None:
    store.dispatch()
    assert assigned(broker).no_progress_seconds == CATALOGUE[Agent.SHELL].no_progress_seconds == 3_600
    patient = store.agents[Agent.SHELL].model_copy(update={"no_progress_seconds": 7_200})
    store.dispatch()
    assert assigned(replace(broker, agents={Agent.SHELL: patient})).no_progress_seconds == 7_200


@pytest.fixture
def with_forge(broker: Broker) -> Broker:
    """The broker of a platform that has a token for https://github.com."""
    return replace(broker, forge=Forge("https://github.com", lambda _: "a-token"))


def test_an_assignment_says_whether_git_is_to_ask_for_a_token(store: Store, broker: Broker, with_forge: Broker) -> None:
    for repo, asks in ((None, False), ("owner/name", True), ("https://gitlab.com/owner/name", False)):
        store.dispatch(repo=repo)
        assert assigned(with_forge).forge is asks
    store.dispatch("globex", repo="owner/name")
    assert assigned(broker).forge is False


def test_a_token_of_the_forge_is_given_for_the_live_attempt_only(store: Store, with_forge: Broker) -> None:
    store.tenants.change("acme", repositories=("owner/name",))
    row = store.dispatch(repo="owner/name", retryable=True)
    first = assigned(with_forge, "w1")
    asked = ForgeTokenRequest(dispatch_id=row.id, lease=first.lease)
    assert with_forge.handle(asked) == ForgeTokenResponse(live=True, token="a-token")
    foreign = asked.model_copy(update={"lease": Lease(worker_id="w2", token=1)})
    assert with_forge.handle(foreign) == ForgeTokenResponse(live=False)
    store.dispatches.change(row.id, Lose(first.lease, Reason.of(ReasonCode.WORKER_LOST, "gone"), now()))
    assert with_forge.handle(asked) == ForgeTokenResponse(live=False)
    second = assigned(with_forge, "w2")
    assert second.lease.token == 2
    assert with_forge.handle(asked) == ForgeTokenResponse(live=False)
    again = asked.model_copy(update={"lease": second.lease})
    assert with_forge.handle(again) == ForgeTokenResponse(live=True, token="a-token")


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("owner/name", "`outpost tenants set acme --repository owner/name` gives it"),
        (
            "https://github.com/group/in/group",
            "is not owner/name below https://github.com: results are pushed only there",
        ),
    ],
)
def test_why_a_promotion_gets_no_token_is_an_answer(store: Store, with_forge: Broker, repo: str, words: str) -> None:
    row = store.dispatch(kind="promote", repo=repo, promotes=promotion(new_id()))
    assignment = assigned(with_forge)
    assert assignment.forge
    response = with_forge.handle(ForgeTokenRequest(dispatch_id=row.id, lease=assignment.lease))
    assert isinstance(response, ForgeTokenResponse)
    assert (response.live, response.token) == (True, None)
    assert words in str(response.refused)


def test_attempts_never_reach_the_secret_that_tokens_are_made_with(store: Store, with_forge: Broker) -> None:
    store.dispatch(kind="promote", repo="owner/name", promotes=promotion(new_id()))
    assert assigned(with_forge).secrets == {}


@pytest.mark.parametrize(("withheld", "name"), [(False, "changes.patch"), (True, "withheld-changes.patch")])
def test_a_promotion_may_read_the_one_patch_that_it_publishes(store: Store, name: str, *, withheld: bool) -> None:
    """One that is withheld only where it has been released: the promotion says so."""
    source = new_id()
    promotes = promotion(source).model_copy(update={"withheld": withheld})
    (policy,) = session_policies("bucket", store.dispatch(promotes=promotes), [])
    statements: Any = json.loads(policy.text)["Statement"]
    reading = [s["Resource"] for s in statements if s["Action"] == "s3:GetObject" and source in s["Resource"]]
    assert reading == [f"arn:aws:s3:::bucket/tenants/acme/dispatches/{source}/2/{name}"]
    assert source not in session_policies("bucket", store.dispatch(), [])[0].text


def test_a_worker_of_an_agent_that_was_disabled_leaves_and_its_running_dispatch_goes_on(
    store: Store, broker: Broker
) -> None:
    store.dispatch()
    running = assigned(broker)
    store.dispatch()
    disabled = replace(broker, agents={})
    renew = RenewRequest(dispatch_id=running.dispatch_id, lease=running.lease, want_credentials=True)

    assert ask(disabled) == ClaimResponse(retire=True)
    response = lease_response(disabled, renew)
    assert response.live
    assert response.credentials is not None
