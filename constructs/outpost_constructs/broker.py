"""The broker: the only way for a worker to get work, and the credentials of an attempt."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from outpost.domain.bedrock import BedrockModel, statements
from outpost.domain.protocol import BROKER_SECONDS
from outpost.names import Env
from outpost_constructs.environment_key import READ, grant_key, key_of
from outpost_constructs.fleet_functions import FleetData, default_bus
from outpost_constructs.function import OutpostFunction
from outpost_constructs.nag_suppressions import NAMED_AT_RUN_TIME, acknowledge_wildcard
from outpost_constructs.permissions import allow
from outpost_constructs.secrets import grant_secret, tenant_secrets_arn
from outpost_constructs.store_table import Access
from outpost_ops.config.model import GitConfig

_ROUTED = "AWS decides to which regions an inference profile routes; the condition names the profiles"


class Broker(OutpostFunction):
    """The function, and the role that it assumes for each attempt with a session policy naming that attempt only.

    The attempt role is the widest that a session can get: objects of attempts, provider keys, tenants' secrets,
    models at Bedrock.
    """

    def __init__(self, scope: Construct, construct_id: str, *, data: FleetData) -> None:
        tables = data.tables
        super().__init__(
            scope,
            construct_id,
            package="broker",
            description="Hands out dispatches to workers, takes their reports",
            timeout=Duration.seconds(BROKER_SECONDS),
            environment=data.environment,
            access=Access(
                reads=[tables.tenants],
                writes=tables.of_an_end,
                deletes=[tables.pending, tables.workers],  # a failure to launch, once a worker asks for work
                checks=[tables.workers],  # that a new worker has not ended
                wakes=data.queues,
            ),
        )
        self.attempt_role = iam.Role(
            self,
            "AttemptRole",
            assumed_by=iam.ArnPrincipal(self.role.role_arn),
            description="One attempt of a dispatch: narrowed by the session policy that the broker adds",
            max_session_duration=Duration.hours(1),
        )
        self.function.add_environment(Env.ATTEMPT_ROLE_ARN, self.attempt_role.role_arn)
        allow(self.role, "sts:AssumeRole", on=[self.attempt_role.role_arn])
        data.cluster.grant_on_tasks(self.role, "ecs:DescribeTasks")
        data.artifacts.grant_tenants(self.attempt_role, "s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")
        data.artifacts.deny_replacing(self.attempt_role)
        data.artifacts.grant_context(reader=self.attempt_role, lister=self.role)
        allow(self.role, "events:PutEvents", on=[default_bus(self)])

    def lend_secrets(self, providers: Sequence[secretsmanager.ISecret]) -> None:
        """Let attempts read provider keys and tenants' secrets."""
        for secret in providers:
            grant_secret(secret, self.attempt_role)
        tenants = tenant_secrets_arn(self)
        allow(self.attempt_role, "secretsmanager:GetSecretValue", on=[tenants])
        grant_key(key_of(self), self.attempt_role, "secretsmanager", READ)
        acknowledge_wildcard(self.attempt_role, tenants, NAMED_AT_RUN_TIME)

    def lend_models(self, models: Sequence[BedrockModel], region: str) -> None:
        """Let attempts call these models of Bedrock."""
        if not models:
            return
        for statement in statements(models, region, Stack.of(self).account):
            self.attempt_role.add_to_policy(iam.PolicyStatement.from_json(statement))
        for routed in sorted({model.model for model in models if model.profile}):
            acknowledge_wildcard(self.attempt_role, f"arn:aws:bedrock:*::foundation-model/{routed}", _ROUTED)

    def connect_forge(self, git: GitConfig) -> None:
        """Let only the function read what tokens of the forge are made with: attempts ask it for one."""
        secret = git.app.key_secret if git.app else git.token_secret
        if secret is None:
            return
        self.function.add_environment(Env.FORGE_APP_KEY_SECRET if git.app else Env.FORGE_TOKEN_SECRET, secret)
        if git.app:
            self.function.add_environment(Env.FORGE_APP_ID, git.app.id)
        allow(self.role, "secretsmanager:GetSecretValue", on=[secret])
        grant_key(key_of(self), self.role, "secretsmanager", READ)  # where the operator chose our key for it
