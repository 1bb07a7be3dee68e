"""A small CDK app with everything `outpost_local` adds to MiniStack: the gap-1 types, tasks, events and roles."""

import sys
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

HERE = Path(__file__).parent
SETTING = sys.argv[1] if len(sys.argv) > 1 else "first"
"""Something to change between two deployments."""
ENVIRONMENT = cdk.Environment(account="000000000000", region="us-east-1")


class Operations(cdk.Stack):
    """The audit, cost and security types."""

    def __init__(self, scope: Construct, vpc: ec2.Vpc, balancer: elb.ApplicationLoadBalancer) -> None:
        super().__init__(scope, "Operations", env=ENVIRONMENT)
        bucket = s3.Bucket(self, "Trail-Bucket", removal_policy=cdk.RemovalPolicy.DESTROY)
        cloudtrail.Trail(self, "Trail", bucket=bucket, send_to_cloud_watch_logs=True)
        budgets.CfnBudget(
            self,
            "Budget",
            budget={
                "budgetType": "COST",
                "timeUnit": "MONTHLY",
                "budgetLimit": {"amount": 50 if SETTING == "first" else 60, "unit": "USD"},
            },
        )
        plan = backup.BackupPlan.daily35_day_retention(self, "Backup")
        plan.add_selection("All", resources=[backup.BackupResource.from_tag("backup", "daily")])
        errors = cloudwatch.Alarm(
            self,
            "Errors",
            metric=cloudwatch.Metric(namespace="Demo", metric_name="E"),
            threshold=1,
            evaluation_periods=1,
        )
        cloudwatch.CompositeAlarm(self, "Anything", alarm_rule=cloudwatch.AlarmRule.any_of(errors))
        visibility = waf.CfnWebACL.VisibilityConfigProperty(
            cloud_watch_metrics_enabled=True, metric_name="demo", sampled_requests_enabled=True
        )
        acl = waf.CfnWebACL(self, "Acl", default_action={"allow": {}}, scope="REGIONAL", visibility_config=visibility)
        waf.CfnWebACLAssociation(self, "Association", resource_arn=balancer.load_balancer_arn, web_acl_arn=acl.attr_arn)
        group = logs.LogGroup(
            self, "WafLogs", log_group_name="aws-waf-logs-demo", removal_policy=cdk.RemovalPolicy.DESTROY
        )
        waf.CfnLoggingConfiguration(
            self, "WafLogging", resource_arn=acl.attr_arn, log_destination_configs=[group.log_group_arn]
        )
        profile = iam.CfnInstanceProfile(self, "Profile", roles=[])
        ec2.CfnInstance(
            self,
            "Instance",
            image_id="ami-0123456789abcdef0",
            instance_type="t4g.nano",
            subnet_id=vpc.private_subnets[0].subnet_id,
            iam_instance_profile=profile.ref,
        )


class Demo(cdk.Stack):
    """Network, a service behind a load balancer, and a job that a table's stream starts."""

    def __init__(self, scope: Construct) -> None:
        super().__init__(scope, "Demo", env=ENVIRONMENT)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=["us-east-1a", "us-east-1b"],
            nat_gateways=1,
            restrict_default_security_group=False,
            flow_logs={"All": ec2.FlowLogOptions()},
        )
        self.cluster = ecs.Cluster(self, "Cluster", vpc=self.vpc, enable_fargate_capacity_providers=True)
        self.stopped = self._table("Stopped")
        self._add_service()
        self._add_job()

    def _table(self, name: str, stream: dynamodb.StreamViewType | None = None) -> dynamodb.Table:
        key = dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING)
        table = dynamodb.Table(self, name, partition_key=key, stream=stream, removal_policy=cdk.RemovalPolicy.DESTROY)
        cdk.CfnOutput(self, f"{name}Table", value=table.table_name)
        return table

    def _image(self, target: str) -> ecs.ContainerImage:
        return ecs.ContainerImage.from_asset(
            str(HERE), target=target, exclude=["functions", "app.py", "**/__pycache__"]
        )

    def _task_definition(self, name: str, command: list[str] | None = None) -> ecs.FargateTaskDefinition:
        definition = ecs.FargateTaskDefinition(self, name)
        definition.add_container(
            name.lower(),
            image=self._image(name.lower()),
            command=command,
            port_mappings=[ecs.PortMapping(container_port=8080)],
            environment={"DEMO_SETTING": SETTING},
            stop_timeout=cdk.Duration.seconds(2),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="demo",
                log_group=logs.LogGroup(self, f"{name}Logs", removal_policy=cdk.RemovalPolicy.DESTROY),
            ),
        )
        return definition

    def _add_service(self) -> None:
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=self._task_definition("Web"),
            desired_count=2,
            min_healthy_percent=100,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )
        self.balancer = elb.ApplicationLoadBalancer(self, "Balancer", vpc=self.vpc, internet_facing=True)
        listener = self.balancer.add_listener("Http", port=80)
        listener.add_targets("Web", port=8080, protocol=elb.ApplicationProtocol.HTTP, targets=[self.service])
        capacity = self.service.auto_scale_task_count(max_capacity=4)
        capacity.scale_on_cpu_utilization("Cpu", target_utilization_percent=60)
        cdk.CfnOutput(self, "Dns", value=self.balancer.load_balancer_dns_name)

    def _add_job(self) -> None:
        job = self._task_definition("Job")
        launch = self._function("Launch", "handlers.launch")
        launch.add_environment("CLUSTER", self.cluster.cluster_arn)
        launch.add_environment("FAMILY", job.family)
        launch.add_environment("SUBNETS", ",".join(subnet.subnet_id for subnet in self.vpc.private_subnets))
        job.grant_run(launch)
        requests = self._table("Requests", dynamodb.StreamViewType.NEW_IMAGE)
        launch.add_event_source(
            sources.DynamoEventSource(requests, starting_position=lambda_.StartingPosition.TRIM_HORIZON)
        )
        record = self._function("RecordStop", "handlers.record_stop")
        record.add_environment("STOPPED", self.stopped.table_name)
        self.stopped.grant_write_data(record)
        events.Rule(
            self,
            "OnStop",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={"clusterArn": [self.cluster.cluster_arn], "lastStatus": ["STOPPED"]},
            ),
            targets=[targets.LambdaFunction(record)],
        )
        cdk.CfnOutput(self, "Cluster-Name", value=self.cluster.cluster_name)
        cdk.CfnOutput(self, "JobFamily", value=job.family)

    def _function(self, name: str, handler: str) -> lambda_.Function:
        return lambda_.Function(
            self,
            name,
            handler=handler,
            runtime=lambda_.Runtime.PYTHON_3_12,
            code=lambda_.Code.from_asset(str(HERE / "functions")),
            timeout=cdk.Duration.seconds(20),
        )


def main() -> None:
    """Synthesise."""
    app = cdk.App()
    app.node.set_context("availability-zones:account=000000000000:region=us-east-1", ["us-east-1a", "us-east-1b"])
    demo = Demo(app)
    Operations(app, demo.vpc, demo.balancer)
    app.synth()


if __name__ == "__main__":
    main()
