"""The real service on a real socket, on tables, bucket, queue and file system of the emulator.

One service for the whole session; a test that must see nothing of others has a tenant of its own.
"""

import json
import time
import uuid
from collections.abc import Iterator

import boto3
import httpx
import pytest
import structlog

from control_plane.settings import register_operator
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import OPERATOR, Overrides, Scope, Tenant, new_key
from outpost.names import Env
from tests.conftest import CREDENTIALS, create_tables
from tests.contract.running import MODELS, TASK, Api, Calls, connect, serve


def deploy() -> dict[str, str]:
    """Create what the service needs where boto3 points to, and return the variables that name it."""
    name = f"outpost-{uuid.uuid4().hex[:12]}"
    tables = create_tables(name)
    boto3.client("s3").create_bucket(Bucket=name)
    queue_url = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    secrets = boto3.client("secretsmanager")
    boto3.client("logs").create_log_group(logGroupName=f"/{name}/audit")
    boto3.client("s3").create_bucket(Bucket=f"{name}-audit", ObjectLockEnabledForBucket=True)
    key = json.dumps({"key_hex": new_key().removeprefix("otp_")})
    agents = {
        "shell": {"queue_url": queue_url, "family": "shell"},
        "claude": {"queue_url": queue_url, "family": "claude", "models": MODELS},
    }
    return {
        **tables,
        Env.ARTIFACTS_BUCKET.value: name,
        Env.FILE_SYSTEM_ID.value: boto3.client("efs").create_file_system(CreationToken=name)["FileSystemId"],
        Env.AGENTS.value: json.dumps(agents),
        Env.GIT_ALLOWED_HOSTS.value: "github.com",
        Env.FORGE_URL.value: "https://api.github.com",
        Env.ENVIRONMENT.value: "test",
        Env.AUDIT_LOG_GROUP.value: f"/{name}/audit",
        Env.AUDIT_BUCKET.value: f"{name}-audit",
        Env.AUDIT_KEY.value: boto3.client("kms").create_key(KeySpec="RSA_3072", KeyUsage="SIGN_VERIFY")["KeyMetadata"][
            "Arn"
        ],
        Env.TRUSTED_PROXIES.value: "1",
        Env.VERSION.value: "9.8.7",
        Env.RETENTION_DAYS.value: "180",
        Env.SIGNING_SECRET.value: secrets.create_secret(Name=f"{name}-signing", SecretString=new_id())["ARN"],
        Env.BOOTSTRAP_KEY_SECRET.value: secrets.create_secret(Name=f"{name}-key", SecretString=key)["ARN"],
    }


@pytest.fixture(scope="session")
def deployed(emulator: str) -> dict[str, str]:
    """What a deployment tells the service: the environment variables, and what they name exists."""
    aws = CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in aws.items():
            patch.setenv(variable, value)
        boto3.setup_default_session()
        return aws | deploy()


@pytest.fixture
def environment(deployed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process as the deployment would start it."""
    for variable, value in deployed.items():
        monkeypatch.setenv(variable, value)
    boto3.setup_default_session()
    return deployed


@pytest.fixture(scope="module", autouse=True)
def plain_log() -> Iterator[None]:
    """Let pytest capture the service's log; the form that it has in production is tested on the process."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def api(deployed: dict[str, str]) -> Iterator[Api]:
    """The service in a thread of its own."""
    calls = Calls()
    with calls.watched():
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in deployed.items():
                patch.setenv(variable, value)
            boto3.setup_default_session()
            (services, stores), s3 = connect(), boto3.client("s3")
        register_operator(stores.tenants, new_key())
        stores.tenants.change(OPERATOR, overrides=Overrides(requests_per_minute=1_000_000))
        started = time.time()
        services.limiter._clock = lambda: started  # no minute ends while a test counts AWS calls
        with serve(services) as (url, calls.loop_thread):
            yield Api(url, services, stores, deployed[Env.ARTIFACTS_BUCKET], s3, calls)
    assert calls.on_loop == []  # whatever the whole session asked for


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A tenant that may do much."""
    return api.tenant()


@pytest.fixture
def client(api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    """A client with a key of the tenant."""
    with api.client(api.key(tenant)) as client:
        yield client


@pytest.fixture
def stranger(api: Api) -> Iterator[httpx.Client]:
    """A client with a key of another tenant."""
    with api.client(api.key(api.tenant())) as client:
        yield client


@pytest.fixture
def operator(api: Api) -> Iterator[httpx.Client]:
    """A client with an admin key of the operator tenant."""
    with api.client(api.key(OPERATOR, Scope.ADMIN)) as client:
        yield client


@pytest.fixture
def id_(client: httpx.Client) -> str:
    """A pending dispatch of the client's."""
    return str(client.post("/dispatch", json=TASK).json()["data"]["id"])


@pytest.fixture
def running(api: Api, id_: str) -> Dispatch:
    """A dispatch whose agent runs."""
    row = api.claim(id_)
    assert row.lease is not None
    return api.advance(id_, Start(row.lease, now()))
