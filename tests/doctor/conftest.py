"""An account on the embedded AWS in which nothing stands in the way of prod; each test breaks one thing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import boto3
import pytest

from app import OutpostApp
from outpost.domain.providers import PROVIDERS
from outpost_local.environment import LocalEnvironment
from outpost_local.realism import Realism
from outpost_ops.config import EnvironmentConfig, load
from outpost_ops.doctor.account import BOOTSTRAP
from outpost_ops.doctor.examine import examine
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.providers import configured_models
from outpost_ops.templates import Templates, read_assembly
from outpost_ops.verify.deployed import Account
from tests.local.accounts import create_role
from tests.local.conftest import write_image_asset
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
NEEDED = 6
DOMAIN = "outpost.example.com"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
"""When the doctor looks: models retire."""


class Provider(ThreadingHTTPServer):
    """Every provider's list of models, for the keys that are known."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ModelList)
        self.models: dict[str, set[str]] = {}
        self.shutdowns: dict[str, str] = {}
        """Model -> `shutdown_date`, where the list says one."""
        self.bodies: dict[str, bytes] = {}
        """What a provider returns in place of its list."""
        self.statuses: dict[str, int] = {}
        """What a provider returns in place of 200."""
        self.silent: set[str] = set()
        """Providers that do not respond."""
        self.stopped = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ModelList(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        name = self.path.split("/")[1]
        provider = PROVIDERS[name]
        if name in self.server.silent:
            self.server.stopped.wait(30)
            return
        key = str(self.headers[provider.key_header]).removeprefix(provider.key_scheme)
        models = self.server.models[name]
        listed: dict[str, Any] = {"data": [{"id": model} for model in models]}
        if name == "openai":
            listed = {"data": [{"id": model, "shutdown_date": self.server.shutdowns.get(model)} for model in models]}
        if name == "google":
            listed = {"models": [{"name": f"models/{model}"} for model in models]}
        body = self.server.bodies.get(name, json.dumps(listed).encode())
        self.send_response(self.server.statuses.get(name, 200) if key == f"key-{name}" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep standard error for failures."""


@dataclass(frozen=True)
class Case:
    """The account, and what is to be deployed into it."""

    aws: LocalEnvironment
    config: EnvironmentConfig
    templates: Templates
    provider: Provider
    session: boto3.Session = field(default_factory=boto3.Session)

    def client(self, service: str) -> Any:  # noqa: ANN401 - as boto3
        return self.aws.client(service)

    def having(self, **changes: Any) -> "Case":  # noqa: ANN401 - the configuration's fields
        """The same account, with another configuration."""
        return replace(self, config=self.config.model_copy(update=changes))

    def all(self) -> list[Finding]:
        urls = {name: f"{self.provider.url}/{name}" for name in PROVIDERS}
        return list(examine(Account(self.config, self.session), self.templates, NEEDED, NOW, urls))

    def found(self) -> list[Finding]:
        """What is not well."""
        return [finding for finding in self.all() if finding.level is not Level.OK]

    def only(self, check: str, level: Level = Level.FAILURE) -> Finding:
        """The one finding: of this check and level, with a remedy."""
        (finding,) = self.found()
        assert (finding.check, finding.level) == (check, level), finding
        assert finding.remedy
        return finding


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Prod's templates."""
    folder = tmp_path_factory.mktemp("doctor") / "cdk.out"
    OutpostApp(outdir=str(folder), context={"environment": "prod"}).synth()
    return read_assembly(folder)[0]


@pytest.fixture(scope="session")
def shared_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """An established account, shared by the tests, each of which puts back what it breaks."""
    quiet = replace(Realism.none(), function_concurrency=1000)
    local = LocalEnvironment(tmp_path_factory.mktemp("doctor") / "aws", free_port(), free_port(), realism=quiet)
    write_image_asset(local.settings.cdk_out)
    local.start()
    yield local
    local.stop()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The providers' API, on loopback."""
    with Provider() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.stopped.set()
        server.shutdown()


@pytest.fixture(scope="session")
def ready(shared_account: LocalEnvironment, templates: Templates, provider: Provider) -> Case:
    """Prod in an account that has all it needs."""
    aws = shared_account
    aws.client("ssm").put_parameter(Name=BOOTSTRAP, Value=str(NEEDED), Type="String")
    zone = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]
    secrets = aws.client("secretsmanager")
    app_key = secrets.create_secret(Name="outpost/forge-app-key", SecretString="key")["ARN"]
    shipped = load(ROOT / "config" / "prod.toml")
    assert shipped.git.app is not None
    git = shipped.git.model_copy(update={"app": shipped.git.app.model_copy(update={"key_secret": app_key})})
    tls = shipped.tls.model_copy(update={"zone_id": zone["Id"].rpartition("/")[2]})
    config = shipped.model_copy(update={"account": "000000000000", "git": git, "tls": tls})
    for (name, _), models in configured_models(config).items():
        secrets.create_secret(
            Name=f"SecretsProvider{name}",
            Description=f"API key of {name}: for agents",
            SecretString=f"key-{name}",
            Tags=[{"Key": "outpost:environment", "Value": "prod"}],
        )
        provider.models[name] = {model.rpartition("/")[2] for model in models}
    return Case(aws, config, templates, provider)


@pytest.fixture
def case(ready: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The account, as its root user."""
    for name, value in ready.aws.environ().items():
        monkeypatch.setenv(name, value)
    return replace(ready, session=boto3.Session())


def session_under(case: Case, *statements: dict[str, Any]) -> boto3.Session:
    """A session of a role that has exactly these statements."""
    role = create_role(case.aws, *statements)
    keys = case.client("sts").assume_role(RoleArn=role, RoleSessionName="doctor")["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1")
