"""A worker is who its signature and ECS say, whatever it says itself."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from broker import handler
from broker.broker import Broker
from broker.identity import Identities
from outpost.aws.caller_identity import LIFETIME, CallerIdentity, ProofRefusedError, StsError, prove
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Lease, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel
from outpost.domain.protocol import (
    Assignment,
    ClaimRequest,
    ClaimResponse,
    EndedRequest,
    ForgeTokenRequest,
    GrantRequest,
    IdentityProof,
    LeaseRequest,
    RenewRequest,
    ReportRequest,
    ReserveRequest,
    SavedRequest,
    StartedRequest,
    sha256_of,
)
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import WorkerState
from outpost.domain.workspaces import Workspace, expiry
from outpost_local.realism import Realism
from tests.conftest import CREDENTIALS, run_emulator
from tests.launched import REGION, TASK_ROLE, claim_request, launch, session

Store = Any
WAIT, RETIRE = ClaimResponse(), ClaimResponse(retire=True)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator that verifies signatures; the one that other tests share does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH", "true")
        with run_emulator(tmp_path_factory.mktemp("strict"), Realism.none()) as url:
            yield url


@pytest.fixture
def emulator(strict: str) -> str:
    """Take the strict one here."""
    return strict


@dataclass(frozen=True)
class Fleet:
    """A cluster with tasks that ECS runs, and their broker."""

    store: Store
    broker: Broker
    ecs: Any
    cluster: str

    def task(self, family: str = "outpost-shell", cluster: str = "", **request: object) -> str:
        """Start a task as the planner does; return its id."""
        self.ecs.register_task_definition(
            family=family, taskRoleArn=TASK_ROLE, containerDefinitions=[{"name": "worker", "image": "worker"}]
        )
        started = {"startedBy": new_id()} | request
        response = self.ecs.run_task(cluster=cluster or self.cluster, taskDefinition=family, **started)
        return str(response["tasks"][0]["taskArn"].rpartition("/")[2])

    def ask(self, request: ClaimRequest) -> ClaimResponse:
        response = self.broker.handle(request)
        assert isinstance(response, ClaimResponse)
        return response

    def refuses(self, request: ClaimRequest) -> bool:
        """Whether the worker is sent away, without a dispatch and without a row that counts as supply."""
        return self.ask(request) == RETIRE and not any(worker.proven for worker in self.store.workers.alive("shell"))


def create_roles() -> None:
    iam = boto3.client("iam")
    trust = '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}'
    for name in ("outpost-worker", "another"):
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)


@pytest.fixture
def roles(aws: str) -> None:
    create_roles()


@pytest.fixture
def fleet(store: Store, broker: Broker, roles: None) -> Fleet:
    ecs, cluster = boto3.client("ecs"), f"outpost-{new_id()}"
    ecs.create_cluster(clusterName=cluster)
    identities = replace(broker.identities, ecs=ecs, cluster=cluster)
    store.dispatch()
    return Fleet(store, replace(broker, identities=identities), ecs, cluster)


def test_a_task_of_ours_that_no_row_names_yet_is_given_work_and_written_as_ecs_describes_it(fleet: Fleet) -> None:
    id_ = fleet.task()
    request = claim_request(id_).model_copy(update={"revision": 99, "task_arn": "arn:aws:ecs:r:1:task/other/x"})
    assert fleet.ask(request).assignment
    worker = fleet.store.workers.get("shell", id_)
    assert (worker.task_arn.split("/")[1:], worker.revision < 99) == ([fleet.cluster, id_], True)
    assert worker.proven


def test_what_a_worker_is_is_looked_up_once_in_its_life(
    fleet: Fleet, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = fleet.task()
    store.tenants.change("acme", status="suspended")
    assert fleet.ask(claim_request(id_)) == WAIT
    monkeypatch.setattr(fleet.ecs, "describe_tasks", None)
    assert fleet.ask(claim_request(id_)) == WAIT
    store.tenants.change("acme", status="active")
    assert fleet.ask(claim_request(id_)).assignment


def test_whoever_has_a_workers_credentials_is_that_worker_and_no_other(fleet: Fleet) -> None:
    own, other, invented = fleet.task(), fleet.task(), new_id()
    launch(fleet.store.workers, worker_id=other)
    for claimed in (invented, other):
        assert fleet.refuses(claim_request(own).model_copy(update={"worker_id": claimed}))
    assert fleet.store.workers.get("shell", other).worker_state is WorkerState.STARTING


def test_a_session_of_another_role_is_refused_though_it_has_the_tasks_name(fleet: Fleet) -> None:
    """Elsewhere in the account people choose the names of their sessions."""
    id_ = fleet.task()
    keys = session(id_, "arn:aws:iam::000000000000:role/another")
    assert fleet.refuses(request_of(id_, prove(keys, REGION, "test")))


def request_of(worker_id: str, proof: IdentityProof | None) -> ClaimRequest:
    return ClaimRequest(worker_id=worker_id, task_arn="arn", agent="shell", revision=1, proof=proof)


def test_a_worker_of_the_release_before_leaves_without_work(fleet: Fleet) -> None:
    assert fleet.refuses(request_of(fleet.task(), None))


def test_a_task_that_is_no_running_worker_of_the_agent_is_refused(fleet: Fleet) -> None:
    stopped, foreign = fleet.task(), fleet.task("outpost-claude")
    fleet.ecs.stop_task(cluster=fleet.cluster, task=stopped)
    not_ours = [fleet.task(startedBy=by) for by in ("me", "ecs-svc/1234567890123456789", "")]
    for id_ in (stopped, foreign, *not_ours):
        assert fleet.refuses(claim_request(id_))


def test_a_task_of_another_cluster_is_given_nothing(fleet: Fleet) -> None:
    fleet.ecs.create_cluster(clusterName="another")
    id_ = fleet.task(cluster="another")
    assert fleet.ask(claim_request(id_)).assignment is None
    assert fleet.store.workers.alive("shell") == []


def test_a_task_that_ecs_does_not_describe_yet_is_known_by_its_launch(fleet: Fleet) -> None:
    unknown, launched = "1" * 32, "2" * 32
    launch(fleet.store.workers, worker_id=launched)
    assert fleet.ask(claim_request(unknown)) == WAIT
    assert fleet.ask(claim_request(launched)).assignment


def test_while_ecs_is_away_launched_workers_are_given_work(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ServerException", "Message": ""}}, "DescribeTasks")

    unknown, launched = fleet.task(), fleet.task()
    launch(fleet.store.workers, worker_id=launched)
    monkeypatch.setattr(fleet.ecs, "describe_tasks", away)
    with pytest.raises(ClientError):
        fleet.ask(claim_request(unknown))
    assert fleet.ask(claim_request(launched)).assignment


def test_while_sts_is_away_workers_that_ask_stay_alive_and_are_given_nothing(
    fleet: Fleet, unused_port: Callable[[], int]
) -> None:
    """Otherwise the reconciler would call idle workers silent, and the planner would replace them."""
    id_ = launch(fleet.store.workers)
    request = claim_request(id_)
    nobody = CallerIdentity(f"http://127.0.0.1:{unused_port()}", REGION, "test")
    broker = replace(fleet.broker, identities=replace(fleet.broker.identities, callers=nobody))
    for asked in (1, 2):
        with pytest.raises(StsError):
            broker.handle(request)
        worker = fleet.store.workers.get("shell", id_)
        assert (worker.beat, worker.worker_state, worker.proven) == (asked, WorkerState.STARTING, False)


def test_a_proof_that_is_shown_again_gives_the_same_work_or_none(fleet: Fleet, store: Store) -> None:
    store.dispatch()
    request = claim_request(fleet.task())
    first = fleet.ask(request).assignment
    assert isinstance(first, Assignment)
    again = fleet.ask(request).assignment
    assert isinstance(again, Assignment)
    assert again.dispatch_id == first.dispatch_id
    assert store.workers.get("shell", request.worker_id).beat == 1  # a sign of life
    store.workers.end(store.workers.get("shell", request.worker_id), now())
    assert fleet.ask(request) == RETIRE
    assert len(store.dispatches.live.queue(Agent.SHELL)) <= 1


# What a lease is worth.

SECRET = "s" * 43
DONE = Reason.of(ReasonCode.COMPLETED, "Done.")
SENDS: dict[type[LeaseRequest], dict[str, Any]] = {
    RenewRequest: {"want_credentials": True, "progress": "foreign"},
    ForgeTokenRequest: {},
    GrantRequest: {"micros": 1},
    ReserveRequest: {"size_bytes": 1},
    SavedRequest: {"size_bytes": 1},
    StartedRequest: {},
    EndedRequest: {"exit_code": 0},
    ReportRequest: {"outcome": Status.SUCCESS, "reason": DONE},
}


def with_workspace(store: Store, broker: Broker) -> Dispatch:
    """Return a pending dispatch that has a persistent workspace, the only one that waits."""
    other, id_, at = store.dispatch(max_cost_usd=5.0), new_id(), now()
    store.dispatches.change(other.id, Cancel(None, at))
    spec = other.spec.model_copy(update={"workspace_mode": "persistent", "workspace_id": id_})
    row: Dispatch = other.model_copy(update={"spec": spec, "id": new_id()})
    made = Workspace(id=id_, tenant_id="acme", created_at=at, used_at=at, expires_at=expiry(at), dispatch_id=row.id)
    store.dispatches.create(row, "echo hello", 10**6, workspace=[broker.store.workspaces.creating(made)])
    return row


@pytest.mark.usefixtures("roles")
def test_what_is_sent_under_a_lease_needs_the_secret_of_its_claim(store: Store, broker: Broker) -> None:
    """Lease and id stand in logs, and all workers may invoke the broker."""
    assert set(SENDS) == set(LeaseRequest.__subclasses__())
    row = with_workspace(store, broker)
    claim = claim_request(launch(store.workers)).model_copy(update={"secret_sha256": sha256_of(SECRET)})
    assignment = broker.handle(claim).assignment  # type: ignore[union-attr]
    assert isinstance(assignment, Assignment)
    held = {"dispatch_id": row.id, "lease": assignment.lease}
    claimed = store.dispatches.get(row.id)
    assert SECRET not in claimed.model_dump_json()
    for kind, fields in SENDS.items():
        for secret in (None, "", "t" * 43, claimed.secret_sha256):
            response = broker.handle(kind(**held, **fields, secret=secret))  # type: ignore[arg-type]
            assert response == type(response)(live=False), (kind, secret)
    assert store.dispatches.get(row.id) == claimed
    for kind, fields in SENDS.items():
        assert broker.handle(kind(**held, **fields, secret=SECRET)).live, kind  # type: ignore[arg-type, union-attr]
    assert store.dispatches.get(row.id).status is Status.SUCCESS


@pytest.mark.usefixtures("roles")
def test_a_claim_is_repeated_only_to_the_worker_that_made_it(store: Store, broker: Broker) -> None:
    """Credentials taken out of a task sign as that task."""
    store.dispatch()
    claim = claim_request(launch(store.workers))
    first, repeated, foreign = (
        broker.handle(claim.model_copy(update={"secret_sha256": sha256_of(secret)}))
        for secret in (SECRET, SECRET, "t" * 43)
    )
    assert first.assignment.dispatch_id == repeated.assignment.dispatch_id  # type: ignore[union-attr]
    assert (foreign, broker.handle(claim)) == (RETIRE, RETIRE)


@pytest.mark.usefixtures("roles")
def test_a_worker_of_the_release_without_secrets_keeps_its_dispatch(store: Store, broker: Broker) -> None:
    """And so does one whose claim an older broker has handled, which knows of no secret."""
    row = store.dispatch()
    assignment = broker.handle(claim_request(launch(store.workers))).assignment  # type: ignore[union-attr]
    assert isinstance(assignment, Assignment)
    for secret in (None, SECRET):
        request = RenewRequest(dispatch_id=row.id, lease=assignment.lease, secret=secret)
        assert broker.handle(request).live  # type: ignore[union-attr]


# What a proof is worth.


@pytest.fixture
def callers(aws: str, roles: None) -> CallerIdentity:
    return CallerIdentity(aws, REGION, "test")


@pytest.fixture
def keys(callers: CallerIdentity) -> ReadOnlyCredentials:
    return session("task")


def test_a_proof_names_account_role_and_session(callers: CallerIdentity, keys: ReadOnlyCredentials) -> None:
    assert callers.caller(prove(keys, REGION, "test"), now()) == ("000000000000", "outpost-worker", "task")


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "0" * 64},
        {"signed_at": "20261128T000000Z"},
        {"session_token": "QUFB"},
        {"access_key_id": "ASIA" + "A" * 16},
        {"access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"] * 4},
    ],
)
def test_a_changed_proof_is_refused_by_sts(
    callers: CallerIdentity, keys: ReadOnlyCredentials, changes: dict[str, str]
) -> None:
    proof = prove(keys, REGION, "test").model_copy(update=changes)
    at = now() if "signed_at" not in changes else now().replace(2026, 11, 28, 0, 0)
    with pytest.raises(ProofRefusedError, match="STS refuses it"):
        callers.caller(proof, at)


def test_a_proof_for_another_environment_or_region_is_refused(
    callers: CallerIdentity, keys: ReadOnlyCredentials
) -> None:
    for region, environment in ((REGION, "prod"), ("eu-west-1", "test")):
        with pytest.raises(ProofRefusedError, match="SignatureDoesNotMatch"):
            callers.caller(prove(keys, region, environment), now())


def test_an_old_proof_is_refused_before_sts_does(callers: CallerIdentity, keys: ReadOnlyCredentials) -> None:
    proof = prove(keys, REGION, "test")
    signed = datetime.strptime(f"{proof.signed_at}+0000", "%Y%m%dT%H%M%SZ%z")
    for away in (LIFETIME, -LIFETIME):
        assert callers.caller(proof, signed + away)
        with pytest.raises(ProofRefusedError, match="was signed at"):
            callers.caller(proof, signed + away * 1.01)


def test_while_sts_is_away_a_proof_is_neither_refused_nor_believed(
    keys: ReadOnlyCredentials, unused_port: Callable[[], int]
) -> None:
    nobody = CallerIdentity(f"http://127.0.0.1:{unused_port()}", REGION, "test")
    with pytest.raises(StsError):
        nobody.caller(prove(keys, REGION, "test"), now())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_key_id", "ASIA/20261128"),
        ("access_key_id", "ASIAAAAAAAAAAAAAAAAA\r\nx: y"),
        ("session_token", "a\r\nhost: evil"),
        ("signature", "f" * 64 + "\n"),
        ("signed_at", "20261128T000000Z\r\n"),
    ],
)
def test_a_proof_holds_nothing_that_could_change_the_request(field: str, value: str) -> None:
    valid = {
        "access_key_id": "A" * 20,
        "session_token": "a",
        "signed_at": "20261128T000000Z",
        "signature": "f" * 64,
    }
    IdentityProof.model_validate(valid)
    with pytest.raises(ValueError, match=field):
        IdentityProof.model_validate(valid | {field: value})


def test_neither_proofs_nor_secrets_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads logs could show it again."""
    proof = IdentityProof(
        access_key_id="A" * 20, session_token="B" * 40, signed_at="20261128T000000Z", signature="c" * 64
    )
    monkeypatch.setattr(handler, "_broker", lambda: SimpleNamespace(handle=lambda _: WAIT))
    context: Any = SimpleNamespace(
        function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="id", function_version="1"
    )
    renew = RenewRequest(dispatch_id="d1", lease=Lease(worker_id="w1", token=1), secret="s" * 43)
    for request in (request_of("w1", proof), renew):
        handler.handler(request.model_dump(mode="json"), context)
    logged = f"{[vars(record) for record in caplog.records]} {proof!r} {renew!r}"
    assert logged.count("'worker_id': 'w1'") == 2
    assert not any(secret in logged for secret in ("BBBB", "cccc", "ssss"))


def test_regional_sts_is_what_boto3_calls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    client = boto3.client("sts", region_name="eu-central-1")
    assert client.meta.endpoint_url == "https://sts.eu-central-1.amazonaws.com"


def test_identities_come_from_the_environment(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPOST_ENVIRONMENT", "test")
    monkeypatch.setenv("OUTPOST_CLUSTER", "outpost")
    assert Identities.from_environment().cluster == "outpost"
