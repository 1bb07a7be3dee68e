"""The service of the API."""

from collections.abc import Mapping

from aws_cdk import Duration, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_sns as sns
from constructs import Construct

from outpost.names import CONTROL_PLANE_CONTAINER
from outpost_constructs.alarms import Alarms
from outpost_constructs.load_balancer import LoadBalancer
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.metrics import MINUTE
from outpost_constructs.network import CONTROL_PLANE_PORT, Network
from outpost_constructs.task_definition import OutpostImage, OutpostTaskDefinition
from outpost_ops.config.model import ControlPlaneConfig


class ControlPlaneService(Construct):
    """A Fargate service behind the load balancer: rolls back a failing deploy, scales on CPU and requests.

    A deploy fails when tasks do not become healthy, or when their responses raise an alarm.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        network: Network,
        security_group: ec2.ISecurityGroup,
        load_balancer: LoadBalancer,
        environment: Mapping[str, str],
        size: ControlPlaneConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.definition = self._definition(environment, size)
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self.definition,
            # No desired_count: CloudFormation would set it at each update, whatever scaling made of it. A new service
            # has one task until its scalable target, which comes after it, raises it to the minimum.
            vpc_subnets=ec2.SubnetSelection(subnets=network.private_subnets),
            security_groups=[security_group],
            assign_public_ip=False,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=Duration.seconds(60),
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )
        # The CDK waits for the task role's policy only: without this one the first tasks can neither pull nor log.
        self.service.node.add_dependency(self.definition.obtain_execution_role())
        self.target_group = load_balancer.listener.add_targets(
            "ControlPlane",
            target_group_name=load_balancer.target_group_name,
            port=CONTROL_PLANE_PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            targets=[self.service],
            deregistration_delay=Duration.seconds(30),
            health_check=elbv2.HealthCheck(
                path="/health/live",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
        self._scale(size)

    def _definition(self, environment: Mapping[str, str], size: ControlPlaneConfig) -> OutpostTaskDefinition:
        definition = OutpostTaskDefinition(self, "Definition", cpu=size.cpu, memory=size.memory)
        image = OutpostImage(self, "Image", package="control_plane")
        log_group = ExpiringLogGroup(self, "Logs", name="control-plane")
        self.log_errors = log_group.count_errors()
        definition.add_container(
            "control-plane",
            container_name=CONTROL_PLANE_CONTAINER,
            image=ecs.ContainerImage.from_docker_image_asset(image),
            port_mappings=[ecs.PortMapping(container_port=CONTROL_PLANE_PORT)],
            stop_timeout=Duration.seconds(60),
            readonly_root_filesystem=True,
            logging=ecs.LogDriver.aws_logs(
                stream_prefix="control-plane",
                log_group=log_group,
                # The event loop writes to the log: blocking, it would stand still when CloudWatch Logs does.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(25),
            ),
            environment=dict(environment),
        )
        return definition

    def _scale(self, size: ControlPlaneConfig) -> None:
        scaling = self.service.auto_scale_task_count(min_capacity=size.minimum, max_capacity=size.maximum)
        scaling.scale_on_cpu_utilization("Cpu", target_utilization_percent=size.cpu_target)
        scaling.scale_on_request_count(
            "Requests", requests_per_target=size.requests_target, target_group=self.target_group
        )

    def roll_back_on_alarms(self, load_balancer: LoadBalancer, alarm_topic: sns.ITopic) -> None:
        """Raise alarms for 5xx and unhealthy tasks; a deploy during which one is raised is rolled back."""
        alarms = Alarms(self, "Alarms", topic=alarm_topic)
        failing = (
            alarms.add(
                "ServerErrors",
                load_balancer.balancer.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE),
                "The API responds with 5xx",
                "server-errors",
                above=5,
            ),
            alarms.add(
                "UnhealthyTasks",
                self.target_group.metrics.unhealthy_host_count(period=MINUTE),
                "A control plane task fails its health check",
                "unhealthy-tasks",
            ),
        )
        self.service.enable_deployment_alarms(
            [alarm.alarm_name for alarm in failing], behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM
        )
