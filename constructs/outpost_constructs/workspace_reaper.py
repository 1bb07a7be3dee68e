"""The reaper of workspaces: removes the files of those that are deleted, expired or nobody's."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from outpost.names import Env
from outpost_constructs.function import OutpostFunction, Stream
from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, acknowledge_wildcard
from outpost_constructs.network import Network
from outpost_constructs.permissions import allow
from outpost_constructs.store_table import Access, Tables
from outpost_constructs.worker_task import WORKSPACES_PATH
from outpost_constructs.workspaces import Workspaces


class WorkspaceReaper(OutpostFunction):
    """Runs on deleted rows (fast) and each hour (sure). Beside the workers it alone mounts the file system."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        tables: Tables,
        workspaces: Workspaces,
        network: Network,
        security_group: ec2.ISecurityGroup,
        environment: Mapping[str, str],
    ) -> None:
        rows = tables.workspace_rows
        super().__init__(
            scope,
            construct_id,
            package="workspace_reaper",
            description="Removes the files of workspaces that are deleted, expired or nobody's",
            timeout=Duration.minutes(5),
            environment={**environment, Env.WORKSPACES_PATH: WORKSPACES_PATH},
            access=Access(reads=[rows], deletes=[rows]),
            every="Hour",
            stream=Stream("Deleted", rows, {"eventName": ["REMOVE"]}, batch=10, retries=3),
        )
        self._mount(workspaces, network, security_group)

    def _mount(self, workspaces: Workspaces, network: Network, security_group: ec2.ISecurityGroup) -> None:
        """Give the function the access point. The L2 would also write rules between the stacks' security groups."""
        actions = ("CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces")
        attachment = allow(self.role, *(f"ec2:{action}" for action in actions), on=["*"])
        acknowledge_wildcard(self.role, "*", KNOWS_NO_RESOURCE)
        mount = workspaces.grant_mount(self.role)
        function = self.function.node.default_child
        assert isinstance(function, lambda_.CfnFunction)  # noqa: S101 - what the L2 is made of
        function.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=[subnet.subnet_id for subnet in network.private_subnets],
            security_group_ids=[security_group.security_group_id],
        )
        function.file_system_configs = [
            lambda_.CfnFunction.FileSystemConfigProperty(
                arn=workspaces.access_point.access_point_arn, local_mount_path=WORKSPACES_PATH
            )
        ]
        for grant in (attachment, mount):
            grant.apply_before(function)
