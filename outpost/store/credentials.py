"""Credentials of one attempt: the attempt role, narrowed by an inline session policy to its prefix and its secrets."""

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import boto3

from outpost.domain.artifacts import attempt_prefix, promoted_patch
from outpost.domain.context import context_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.protocol import Credentials
from outpost.names import Env
from outpost.store.database import CLIENT_CONFIG

if TYPE_CHECKING:
    from types_boto3_sts.client import STSClient

LIFETIME_SECONDS = 3_600
"""The most that STS gives to a role that was assumed by a role."""


class AttemptCredentials:
    """STS and the attempt role, which only the broker may assume."""

    def __init__(self, client: "STSClient", role_arn: str, bucket: str) -> None:
        self._client = client
        self._role_arn = role_arn
        self.bucket = bucket

    @classmethod
    def from_environment(cls) -> "AttemptCredentials":
        """Connect as the environment says."""
        client = boto3.client("sts", config=CLIENT_CONFIG)
        return cls(client, os.environ[Env.ATTEMPT_ROLE_ARN], os.environ[Env.ARTIFACTS_BUCKET])

    def mint(self, row: Dispatch, secret_arns: Iterable[str]) -> Credentials:
        """Return credentials that reach the current attempt's prefix and these secrets, nothing else, for an hour."""
        answer = self._client.assume_role(
            RoleArn=self._role_arn,
            RoleSessionName=f"{row.id}-{row.attempt}",
            Policy=json.dumps(session_policy(self.bucket, row, sorted(secret_arns)), separators=(",", ":")),
            DurationSeconds=LIFETIME_SECONDS,
        )
        issued = answer["Credentials"]
        return Credentials(
            access_key_id=issued["AccessKeyId"],
            secret_access_key=issued["SecretAccessKey"],
            session_token=issued["SessionToken"],
            expires_at=issued["Expiration"],
        )


def session_policy(bucket: str, row: Dispatch, secret_arns: list[str]) -> dict[str, object]:
    """Return the inline policy; what an attempt may do is this and what its role may, whichever is less."""
    prefix = attempt_prefix(row.tenant_id, row.id, row.attempt)
    statements: list[dict[str, object]] = [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
        },
        # The bucket's key, where there is one: the role's own policy names it.
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"},
    ]
    if not row.spec.promotes:
        notes = f"arn:aws:s3:::{bucket}/{context_prefix(row.tenant_id)}*"
        statements.append({"Effect": "Allow", "Action": "s3:GetObject", "Resource": notes})
    if row.spec.promotes:
        patch = promoted_patch(row.tenant_id, row.spec.promotes)
        statements.append({"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/{patch}"})
    if secret_arns:
        statements.append({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret_arns})
    return {"Version": "2012-10-17", "Statement": statements}
