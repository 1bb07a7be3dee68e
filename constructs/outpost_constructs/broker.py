"""The broker: the only way for a worker to get work, and the credentials of an attempt."""

from collections.abc import Mapping, Sequence

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from outpost.domain.bedrock import statements
from outpost.domain.protocol import BROKER_SECONDS
from outpost.names import Env, tenant_secrets_prefix
from outpost_constructs.artifacts_bucket import ArtifactsBucket
from outpost_constructs.cluster_access import ClusterAccess
from outpost_constructs.environment_key import READ, grant_key, key_of
from outpost_constructs.function import OutpostFunction
from outpost_constructs.nag_suppressions import NAMED_AT_RUN_TIME, acknowledge_wildcard
from outpost_constructs.secrets import grant_secret
from outpost_constructs.usage_events import default_bus
from outpost_ops.config import EnvironmentConfig

_ROUTED = "AWS decides to which regions an inference profile routes; the condition names the profiles"


class Broker(Construct):
    """The function, and the role that it assumes for each attempt with a session policy naming that attempt only.

    The attempt role is the widest that a session can get: objects of attempts, provider keys, tenants' secrets,
    models at Bedrock.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        artifacts: ArtifactsBucket,
        providers: Sequence[secretsmanager.ISecret],
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = OutpostFunction(
            self,
            "Function",
            package="broker",
            description="Hands out dispatches to workers, takes their reports",
            timeout=Duration.seconds(BROKER_SECONDS),
            environment=environment,
            config=config,
        )
        role = self.function.role
        assert role is not None  # noqa: S101 - given in OutpostFunction; the L2 types it as optional
        self.attempt_role = iam.Role(
            self,
            "AttemptRole",
            assumed_by=iam.ArnPrincipal(role.role_arn),
            description="One attempt of a dispatch: narrowed by the session policy that the broker adds",
            max_session_duration=Duration.hours(1),
        )
        self.function.add_environment(Env.ATTEMPT_ROLE_ARN, self.attempt_role.role_arn)
        iam.Grant.add_to_principal(
            grantee=self.function, actions=["sts:AssumeRole"], resource_arns=[self.attempt_role.role_arn]
        )
        ClusterAccess(cluster).grant_describe(self.function)
        artifacts.grant_tenants(self.attempt_role, "s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")
        artifacts.deny_replacing(self.attempt_role)
        artifacts.grant_context(reader=self.attempt_role, lister=self.function)
        iam.Grant.add_to_principal(
            grantee=self.function, actions=["events:PutEvents"], resource_arns=[default_bus(self)]
        )
        tenant_secrets = self._tenant_secrets(config)
        for secret in providers:
            grant_secret(secret, self.attempt_role)
        iam.Grant.add_to_principal(
            grantee=self.attempt_role,
            actions=["secretsmanager:GetSecretValue"],
            resource_arns=[tenant_secrets],
        )
        grant_key(key_of(self), self.attempt_role, "secretsmanager", READ)
        self._bedrock(config)
        self._forge(config)
        acknowledge_wildcard(
            self.attempt_role,
            tenant_secrets,
            NAMED_AT_RUN_TIME,
        )

    def _bedrock(self, config: EnvironmentConfig) -> None:
        """Let attempts call the models that agents are configured with at Bedrock."""
        models = config.bedrock_models
        if not models:
            return
        for statement in statements(models, config.bedrock_region, config.account):
            self.attempt_role.add_to_policy(iam.PolicyStatement.from_json(statement))
        for routed in sorted({model.model for model in models if model.profile}):
            acknowledge_wildcard(self.attempt_role, f"arn:aws:bedrock:*::foundation-model/{routed}", _ROUTED)

    def _forge(self, config: EnvironmentConfig) -> None:
        """Only the function reads what tokens of the forge are made with: attempts ask it for one."""
        app = config.git.app
        secret = app.key_secret if app else config.git.token_secret
        if secret is None:
            return
        self.function.add_environment(Env.FORGE_APP_KEY_SECRET if app else Env.FORGE_TOKEN_SECRET, secret)
        if app:
            self.function.add_environment(Env.FORGE_APP_ID, app.id)
        iam.Grant.add_to_principal(
            grantee=self.function, actions=["secretsmanager:GetSecretValue"], resource_arns=[secret]
        )
        grant_key(key_of(self), self.function, "secretsmanager", READ)  # where the operator chose our key for it

    def _tenant_secrets(self, config: EnvironmentConfig) -> str:
        return Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{tenant_secrets_prefix(config.name)}*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
