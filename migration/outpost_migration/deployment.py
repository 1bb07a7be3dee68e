"""The deployed environment that is migrated to: what the outputs of its Migration stack name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.names import MigrationOutput
from outpost_migration.monitor.documents import Documents
from outpost_migration.v1.trail import Trail
from outpost_ops.errors import OperationError


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
