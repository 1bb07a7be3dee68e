"""What a step works with: the deployment, v1's host, the API, a clock, and the only way to change something."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.ids import now as real_now
from outpost.names import MigrationOutput
from outpost.report import Check, overall
from outpost_client import ApiError, Client
from outpost_client.errors import TRANSIENT
from outpost_migration.endpoint import EndpointSecret
from outpost_migration.host import Host, find_host
from outpost_migration.journal import Journal
from outpost_migration.monitor.documents import Documents
from outpost_migration.monitor.model import HOST, V1Host
from outpost_migration.step import Report
from outpost_migration.v1.trail import Trail
from outpost_ops.errors import OperationError

Model = TypeVar("Model", bound=Report)
Response = TypeVar("Response")
RETRIES = 20
"""How often a call of the API is repeated."""


@cache
def _client(session: boto3.Session, service: str) -> Any:
    create: Any = session.client  # the overloads know names only that are literals
    return create(service, config=CLIENT_CONFIG)


@dataclass(frozen=True)
class Deployment:
    """An environment with migration enabled, and the account it is in."""

    environment: str
    region: str
    outputs: Mapping[str, str]
    session: boto3.Session

    @classmethod
    def find(cls, environment: str, session: boto3.Session) -> "Deployment":
        """Look the environment up in the account. Raises OperationError naming the remedy."""
        stack = f"Outpost-{environment}-Migration"
        try:
            found = session.client("cloudformation", config=CLIENT_CONFIG).describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError as error:
            raise OperationError(
                f"there is no stack {stack} in this account and region ({error.response['Error']['Message']}): set "
                f"migration.enabled = true in config/{environment}.toml and deploy, or name another --environment"
            ) from error
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
        missing = [name for name in MigrationOutput if name not in outputs]
        if missing:
            raise OperationError(f"the stack {stack} lacks the outputs {', '.join(missing)}: deploy it again")
        return cls(environment, session.region_name, outputs, session)

    def __getitem__(self, name: MigrationOutput) -> str:
        """Return an output."""
        return self.outputs[name]

    def client(self, service: str) -> Any:
        """Return a client of one of the account's services."""
        return _client(self.session, service)

    @cached_property
    def documents(self) -> Documents:
        """What the migration keeps."""
        return Documents(self.client("s3"), self[MigrationOutput.AUDIT_BUCKET])

    @cached_property
    def trail(self) -> Trail:
        """The account's event history."""
        return Trail(self.client("cloudtrail"), self.client("ssm"))


@dataclass
class Context:
    """One operator at one step of one run."""

    deployment: Deployment
    run: str
    operator: str
    url: str
    """Where the API is for this operator."""
    key: str | None = field(default=None, repr=False)
    dry_run: bool = False
    instance: str | None = None
    now: Callable[[], datetime] = real_now
    sleep: Callable[[float], None] = time.sleep
    progress: Callable[[str], None] = lambda line: None
    changes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note when the step starts."""
        self.started_at = self.now()

    @property
    def documents(self) -> Documents:
        """What the migration keeps."""
        return self.deployment.documents

    @cached_property
    def journal(self) -> Journal:
        """The run's journal."""
        return Journal(self.documents, self.run, self.deployment.environment, self.operator)

    @property
    def folder(self) -> str:
        """The prefix of this run."""
        return f"migration/{self.run}/"

    @cached_property
    def host(self) -> Host:
        """v1's host: as named, as the audit found it, or the only one there is. Raises OperationError."""
        known = self.documents.value(V1Host, HOST)
        wanted = self.instance or (known.instance_id if known else None)
        return find_host(self.deployment.client("ssm"), wanted)

    @cached_property
    def secret(self) -> EndpointSecret:
        """The secret that clients read."""
        return EndpointSecret(
            self.deployment.client("secretsmanager"), self.deployment[MigrationOutput.ENDPOINT_SECRET]
        )

    def api(self) -> Client:
        """Return a client of the API, to be used in a `with`. Raises OperationError without a key."""
        if not self.key:
            raise OperationError(
                "this step calls the API: set OUTPOST_API_KEY to a key with the scopes "
                "dispatch, status, list and cancel"
            )
        return Client(self.url, self.key)

    def retry(self, call: Callable[[], Response]) -> Response:
        """Call the API, and again while its error is transient (too many requests, a restart)."""
        for _ in range(RETRIES):
            try:
                return call()
            except ApiError as error:
                if error.code not in TRANSIENT:
                    raise
                self.sleep(error.retry_after or 2)
        return call()

    def change(self, what: str, action: Callable[[], Any] = lambda: None) -> None:
        """Change something; in a dry run, only report what would be changed."""
        self.changes.append(what)
        self.progress(what)
        if not self.dry_run:
            action()

    def check(self, id_: str, title: str, holds: bool | None, evidence: Iterable[str], remedy: str = "") -> Check:
        """Return a check of what the step changed: in a dry run it is inconclusive."""
        return Check.of(id_, title, None if self.dry_run else holds, evidence, remedy)

    def report(self, model: type[Model], checks: list[Check], **fields: Any) -> Model:
        """Return a report: the fields of its model, and those that all reports share."""
        return model(
            run=self.run,
            environment=self.deployment.environment,
            operator=self.operator,
            started_at=self.started_at,
            finished_at=self.now(),
            status=overall(checks),
            checks=checks,
            changes=list(self.changes),
            dry_run=self.dry_run,
            **fields,
        )

    def report_key(self, model: type[Report]) -> str:
        """Return the key of a step's last report of this run."""
        return f"{self.folder}reports/{model.file}.json"

    def last_report(self, model: type[Model]) -> Model | None:
        """Return a step's last report of this run."""
        return self.documents.value(model, self.report_key(model))
