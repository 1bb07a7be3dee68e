"""Daily copies of what cannot be made again."""

from collections.abc import Sequence

from aws_cdk import Duration, Fn, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_efs as efs
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import key_of
from outpost_constructs.nag_suppressions import acknowledge
from outpost_constructs.stack import config_of
from outpost_ops.config.model import RetentionConfig

_MANAGED = "service-role/AWSBackupServiceRolePolicyForBackup"


class Backups(Construct):
    """A vault, and a plan that copies tables and files into it each night; a locked environment's vault is locked too.

    Point-in-time recovery covers mistakes of 35 days in one table; this covers the loss of a table or of the files.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        tables: Sequence[dynamodb.ITable],
        file_system: efs.IFileSystem,
        retention: RetentionConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.vault = backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=f"outpost-{config_of(self).name}-{_of_this_stack(self)}",
            encryption_key=key_of(self),
            block_recovery_point_deletion=retention.lock_days > 0,
            removal_policy=removal_policy(self),
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            description="Copies tables and files into the vault",
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(_MANAGED)],
        )
        acknowledge(
            role,
            f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_MANAGED}]",
            "AWS keeps this policy in step with what AWS Backup copies; only its service assumes the role",
        )
        plan = backup.BackupPlan(self, "Plan", backup_vault=self.vault)
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="daily",
                schedule_expression=events.Schedule.cron(hour="4", minute="0"),
                start_window=Duration.hours(1),
                completion_window=Duration.hours(6),
                delete_after=Duration.days(retention.backup_days),
            )
        )
        plan.add_selection(
            "Data",
            role=role,
            resources=[
                *(backup.BackupResource.from_dynamo_db_table(table) for table in tables),
                backup.BackupResource.from_efs_file_system(file_system),
            ],
            disable_default_backup_policy=True,
        )


def _of_this_stack(scope: Construct) -> str:
    """Return letters that another stack of the same name would not have: CloudFormation names no vault by itself.

    A vault that was kept would stand in the way of the next one.
    """
    return Fn.select(0, Fn.split("-", Fn.select(2, Fn.split("/", Stack.of(scope).stack_id))))
