"""The task definition of one agent's workers."""

from collections.abc import Mapping

from aws_cdk import Duration, Size
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.domain.agents import CATALOGUE, Agent, worker_family
from outpost.names import WORKER_CONTAINER, Env
from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.permissions import allow
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.stack import config_of
from outpost_constructs.task_definition import OutpostImage, OutpostTaskDefinition
from outpost_constructs.workspaces import Workspaces
from outpost_ops.config.model import AgentConfig

WORKSPACES_PATH = "/mnt/workspaces"
_DROPPED = (
    *(ecs.Capability.AUDIT_WRITE, ecs.Capability.CHOWN, ecs.Capability.DAC_OVERRIDE, ecs.Capability.FOWNER),
    *(ecs.Capability.FSETID, ecs.Capability.MKNOD, ecs.Capability.NET_BIND_SERVICE, ecs.Capability.NET_RAW),
    *(ecs.Capability.SETFCAP, ecs.Capability.SYS_CHROOT),
)
"""Everything that Fargate grants but SETUID, SETGID, SETPCAP and KILL, which the agent's launcher needs."""


class WorkerTask(Construct):
    """One-shot workers. Their role may wait for wake-ups, ask the broker and mount workspaces; nothing else.

    The credentials of an attempt come from the broker, the family's latest revision is what the planner launches.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        agent: Agent,
        queue: WakeUpQueue,
        workspaces: Workspaces,
        broker: OutpostFunction,
        environment: Mapping[str, str],
        settings: AgentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.agent = agent
        entry = CATALOGUE[agent]
        self.definition = OutpostTaskDefinition(
            self,
            "Definition",
            family=worker_family(agent, config_of(self).name),
            cpu=settings.cpu or entry.cpu,
            memory=settings.memory or entry.memory,
        )
        image = OutpostImage(
            self,
            "Image",
            package="worker",
            target="agent" if entry.provider else "shell",
            build_args={"AGENT": str(agent)},
        )
        container = self.definition.add_container(
            "worker",
            container_name=WORKER_CONTAINER,
            image=ecs.ContainerImage.from_docker_image_asset(image),
            stop_timeout=Duration.seconds(120),
            linux_parameters=_linux_parameters(self),
            logging=ecs.LogDriver.aws_logs(
                stream_prefix="worker",
                log_group=ExpiringLogGroup(self, "Logs", name=f"workers/{agent}"),
                # Whatever the account's default: a heartbeat that cannot be logged is not to wait for CloudWatch.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(4),
            ),
            environment={
                **environment,
                Env.AGENT: str(agent),
                Env.QUEUE_URL: queue.queue.queue_url,
                Env.BROKER_FUNCTION: broker.function.function_name,
                Env.WORKSPACES_PATH: WORKSPACES_PATH,
                **({Env.MODEL_URL: settings.model_url} if settings.model_url else {}),
            },
        )
        self._mount(container, workspaces)
        queue.grant_receive(self.definition.task_role)
        allow(self.definition.task_role, "lambda:InvokeFunction", on=[broker.function.function_arn])

    @property
    def roles(self) -> list[iam.IRole]:
        """The roles that a launch of this task has to pass."""
        return [self.definition.task_role, self.definition.obtain_execution_role()]

    def _mount(self, container: ecs.ContainerDefinition, workspaces: Workspaces) -> None:
        self.definition.add_volume(
            name="workspaces",
            efs_volume_configuration=ecs.EfsVolumeConfiguration(
                file_system_id=workspaces.file_system.file_system_id,
                transit_encryption="ENABLED",
                authorization_config=ecs.AuthorizationConfig(
                    access_point_id=workspaces.access_point.access_point_id, iam="ENABLED"
                ),
            ),
        )
        container.add_mount_points(
            ecs.MountPoint(source_volume="workspaces", container_path=WORKSPACES_PATH, read_only=False)
        )
        workspaces.grant_mount(self.definition.task_role)


def _linux_parameters(scope: Construct) -> ecs.LinuxParameters:
    parameters = ecs.LinuxParameters(scope, "Linux", init_process_enabled=True)
    parameters.drop_capabilities(*_DROPPED)
    return parameters
