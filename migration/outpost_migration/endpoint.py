"""The secret in which clients read which endpoint to use. Only the migration writes it."""

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from outpost_migration.monitor.documents import Frozen
from outpost_ops.errors import OperationError

CURRENT, V1 = "AWSCURRENT", "V1"
"""Labels of versions: what clients read, and the last one that named v1."""
_PROBE = "OUTPOSTPREFLIGHT"


class V1Endpoint(Frozen):
    """Clients use v1."""

    model_config = ConfigDict(populate_by_name=True)

    provider: Literal["ssm"] = "ssm"
    instance_id: str = Field(alias="instanceId")
    region: str
    version: str = "1.0.0"


class V2Endpoint(Frozen):
    """Clients use v2."""

    endpoint: str
    provider: Literal["http"] = "http"
    version: str = "2.0.0"


Endpoint = V1Endpoint | V2Endpoint
_ENDPOINT = TypeAdapter[Endpoint](Endpoint)


class Version(NamedTuple):
    """A version of the secret."""

    id: str
    endpoint: Endpoint


@dataclass(frozen=True)
class EndpointSecret:
    """`outpost/api-endpoint`: no deploy creates it, as no second deploy could under a name that is still taken."""

    client: Any
    secret_id: str

    def current(self) -> Version | None:
        """Return the version that clients read now, or None before the first."""
        return self._read(CURRENT)

    def v1(self) -> Version | None:
        """Return the last version that named v1."""
        return self._read(V1)

    def write(self, value: Endpoint) -> str:
        """Make a value current, in a new secret if there is none; the version before it keeps its label V1.

        Returns the version id.
        """
        current = self.current()
        if current and isinstance(current.endpoint, V1Endpoint):
            self._label(V1, current.id)
        text = value.model_dump_json(by_alias=True)
        try:
            written = self.client.put_secret_value(SecretId=self.secret_id, SecretString=text)
        except self.client.exceptions.ResourceNotFoundException:
            description = "Where clients find the API: written by `outpost migrate` only"
            written = self.client.create_secret(Name=self.secret_id, Description=description, SecretString=text)
        return str(written["VersionId"])

    def restore_v1(self) -> str | None:
        """Make the version labelled V1 current again; return its id, None when there is none."""
        found = self.v1()
        if found:
            self._label(CURRENT, found.id)
        return found.id if found else None

    def probe(self) -> None:
        """Write and forget a version that no client reads. Raises ClientError when the secret cannot be written.

        The secret must have a value: whatever its stage, the first version of a secret becomes AWSCURRENT
        (Secrets Manager: PutSecretValue), which is the one that clients read. Raises OperationError otherwise.
        """
        if self.current() is None:
            raise OperationError(f"{self.secret_id} has no value yet: a probe would become it")
        written = self.client.put_secret_value(
            SecretId=self.secret_id, SecretString=json.dumps({"probe": True}), VersionStages=[_PROBE]
        )
        self.client.update_secret_version_stage(
            SecretId=self.secret_id, VersionStage=_PROBE, RemoveFromVersionId=written["VersionId"]
        )

    def _read(self, stage: str) -> Version | None:
        try:
            response = self.client.get_secret_value(SecretId=self.secret_id, VersionStage=stage)
        except self.client.exceptions.ResourceNotFoundException:
            return None
        return Version(response["VersionId"], self._parse(response["SecretString"], response["VersionId"]))

    def _parse(self, text: str, version_id: str) -> Endpoint:
        try:
            return _ENDPOINT.validate_json(text)
        except ValidationError as error:
            raise OperationError(
                f"version {version_id} of the secret {self.secret_id} is no endpoint: it needs provider, and "
                "instanceId and region (v1) or endpoint (v2). Write such a value with "
                "`aws secretsmanager put-secret-value`"
            ) from error

    def _label(self, stage: str, version_id: str) -> None:
        stages: dict[str, list[str]] = self.client.describe_secret(SecretId=self.secret_id)["VersionIdsToStages"]
        holder = next((version for version, labels in stages.items() if stage in labels), None)
        if holder == version_id:
            return
        moved = {"RemoveFromVersionId": holder} if holder else {}
        self.client.update_secret_version_stage(
            SecretId=self.secret_id, VersionStage=stage, MoveToVersionId=version_id, **moved
        )
