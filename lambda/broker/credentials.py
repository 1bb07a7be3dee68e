"""Credentials of one attempt: its role, narrowed by inline session policies to its prefix, secrets and models."""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.artifacts import attempt_prefix, promoted_patch
from outpost.domain.bedrock import BedrockModel, agent_models, statements
from outpost.domain.context import context_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.protocol import Credentials, SecretCredentials
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_sts.client import STSClient

LIFETIME_SECONDS = 3_600
"""The most that STS gives to a role that was assumed by a role."""
MAX_POLICY_LENGTH = 1_400
"""Characters of a session policy that is sent.

STS takes 2,048, and fewer where the packed form is too large. How it packs is not documented (STS API, "AssumeRole":
`Policy` and `PackedPolicySize`), so a third is kept free.
"""
_REFUSALS = ("PackedPolicyTooLarge", "MalformedPolicyDocument", "ValidationError")

Statement = dict[str, object]
_KEY: Statement = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}
"""The key of the bucket and of the secrets, where there is one: the role's own policy names it."""


class PolicyRefusedError(Exception):
    """STS refuses a session policy of this dispatch, and always will."""

    def __init__(self, dispatch_id: str, message: str) -> None:
        super().__init__(f"the session policy of dispatch {dispatch_id} was refused: {message}")
        self.dispatch_id = dispatch_id


@dataclass(frozen=True)
class SessionPolicy:
    """An inline session policy, and the secrets that it names."""

    statements: list[Statement]
    arns: tuple[str, ...]

    @property
    def text(self) -> str:
        """The policy as JSON without spaces, which would count."""
        secrets = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": self.arns}
        statements = [*self.statements, secrets] if self.arns else self.statements
        return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


class AttemptCredentials:
    """STS and the attempt role, which only the broker may assume."""

    def __init__(self, client: "STSClient", role_arn: str, bucket: str) -> None:
        self._client = client
        self._role_arn = role_arn
        self.bucket = bucket

    @classmethod
    def from_environment(cls, config: Config | None = None) -> "AttemptCredentials":
        """Connect as the environment says."""
        client = boto3.client("sts", config=config or CLIENT_CONFIG)
        return cls(client, os.environ[Env.ATTEMPT_ROLE_ARN], os.environ[Env.ARTIFACTS_BUCKET])

    def mint(self, row: Dispatch, secret_arns: Iterable[str]) -> Credentials:
        """Return credentials that reach the current attempt's prefix and its first secrets, nothing else, for an hour.

        Raises `PolicyRefusedError`.
        """
        return self._assume(row, session_policies(self.bucket, row, secret_arns)[0])

    def mint_for_secrets(self, row: Dispatch, secret_arns: Iterable[str]) -> tuple[SecretCredentials, ...]:
        """Return credentials for the secrets that the session policy of `mint` has no room for.

        Raises `PolicyRefusedError`.
        """
        rest = session_policies(self.bucket, row, secret_arns)[1:]
        return tuple(SecretCredentials(arns=tuple(p.arns), credentials=self._assume(row, p)) for p in rest)

    def mint_for_models(self, row: Dispatch, models: Iterable[str], region: str) -> Credentials:
        """Return credentials that call these models of the dispatch's agent at Bedrock, and do nothing else.

        Raises `PolicyRefusedError`.
        """
        account = self._role_arn.split(":")[4]
        return self._assume(row, model_policy(agent_models(row.spec.agent, models), region, account))

    def _assume(self, row: Dispatch, policy: SessionPolicy) -> Credentials:
        try:
            response = self._client.assume_role(
                RoleArn=self._role_arn,
                RoleSessionName=f"{row.id}-{row.attempt}",
                Policy=policy.text,
                DurationSeconds=LIFETIME_SECONDS,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _REFUSALS:
                raise PolicyRefusedError(row.id, error.response["Error"].get("Message", "")) from error
            raise
        issued = response["Credentials"]
        return Credentials(
            access_key_id=issued["AccessKeyId"],
            secret_access_key=issued["SecretAccessKey"],
            session_token=issued["SessionToken"],
            expires_at=issued["Expiration"],
        )


def session_policies(bucket: str, row: Dispatch, secret_arns: Iterable[str]) -> list[SessionPolicy]:
    """Return the attempt's session policy, and as many more as its secrets take; none is over `MAX_POLICY_LENGTH`.

    What an attempt may do is what they allow and its role allows. Every secret is named, whole, in one of them.
    """
    policies: list[SessionPolicy] = []
    policy = SessionPolicy(_attempt_statements(bucket, row), ())
    for arn in secret_arns:
        longer = SessionPolicy(policy.statements, (*policy.arns, arn))
        if len(longer.text) > MAX_POLICY_LENGTH:
            policies.append(policy)
            longer = SessionPolicy([_KEY], (arn,))
        policy = longer
    return [*policies, policy]


def model_policy(models: Collection[BedrockModel], region: str, account: str) -> SessionPolicy:
    """Return the session policy for model calls: a session of its own, so that neither crowds the other out."""
    return SessionPolicy(statements(models, region, account), ())


def _attempt_statements(bucket: str, row: Dispatch) -> list[Statement]:
    prefix = attempt_prefix(row.tenant_id, row.id, row.attempt)
    if row.spec.promotes:
        readable = promoted_patch(row.tenant_id, row.spec.promotes)
    else:
        readable = f"{context_prefix(row.tenant_id)}*"
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
        },
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/{readable}"},
        _KEY,
    ]
