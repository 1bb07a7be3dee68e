"""A service behind a load balancer: deployed when its task responds, not when its process runs."""

from typing import Any
from uuid import uuid4

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually
from tests.local.accounts import create_role, register_job
from tests.local.conftest import DEMO_IMAGE
from tests.local.stacks import Stack, resource


def start_service(aws: LocalEnvironment, *command: str) -> str:
    """Create a service of one task that runs the command of the demonstration; return its name."""
    name = f"service-{uuid4().hex[:12]}"
    group = aws.client("elbv2").create_target_group(
        Name=name, Protocol="HTTP", Port=8080, VpcId="vpc-1", TargetType="ip", HealthCheckPath="/"
    )["TargetGroups"][0]["TargetGroupArn"]
    family = register_job(
        aws,
        DEMO_IMAGE,
        command=list(command),
        portMappings=[{"containerPort": 8080}],
        taskRoleArn=create_role(aws),
    )
    aws.client("ecs").create_service(
        serviceName=name,
        taskDefinition=family,
        desiredCount=1,
        launchType="FARGATE",
        loadBalancers=[{"targetGroupArn": group, "containerName": "job", "containerPort": 8080}],
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    return name


def describe(aws: LocalEnvironment, name: str) -> dict[str, Any]:
    service: dict[str, Any] = aws.client("ecs").describe_services(services=[name])["services"][0]
    return service


def rollout(aws: LocalEnvironment, name: str) -> str:
    return str(describe(aws, name)["deployments"][0]["rolloutState"])


def test_a_deployment_is_complete_when_its_task_responds_and_not_before(aws: LocalEnvironment) -> None:
    silent = start_service(aws, "linger", "0")
    eventually(lambda: describe(aws, silent)["runningCount"] == 1)
    serving = start_service(aws, "serve", "0")
    eventually(lambda: rollout(aws, serving) == "COMPLETED")

    # Its task has run for longer, yet responds to nothing.
    assert (describe(aws, silent)["runningCount"], rollout(aws, silent)) == (1, "IN_PROGRESS")
    for name in (silent, serving):
        aws.client("ecs").delete_service(service=name, force=True)


def scalable(service: str, minimum: int, maximum: int) -> dict[str, Any]:
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/default/{service}",
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": minimum,
        "MaxCapacity": maximum,
    }


def test_a_scalable_target_moves_its_service_into_its_range(aws: LocalEnvironment) -> None:
    name = start_service(aws, "serve", "0")
    scaling = aws.client("application-autoscaling")

    scaling.register_scalable_target(**scalable(name, 2, 4))
    assert describe(aws, name)["desiredCount"] == 2
    scaling.register_scalable_target(**scalable(name, 0, 1))
    assert describe(aws, name)["desiredCount"] == 1
    aws.client("ecs").delete_service(service=name, force=True)


def test_an_update_sets_the_templates_count_of_tasks_and_keeps_it_without_one(
    aws: LocalEnvironment, stack: Stack
) -> None:
    """What scaling did is undone by a template with DesiredCount, although that did not change."""
    ecs, family = (
        aws.client("ecs"),
        register_job(aws, DEMO_IMAGE, command=["linger", "0"], taskRoleArn=create_role(aws)),
    )
    network = {"AwsvpcConfiguration": {"Subnets": ["subnet-1"]}}

    def service(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - a template's
        return resource("AWS::ECS::Service", TaskDefinition=family, NetworkConfiguration=network, **properties)

    ids = stack.deploy({"Fixed": service(DesiredCount=1), "Scaled": service()})
    for arn in ids.values():
        ecs.update_service(service=arn.rpartition("/")[2], desiredCount=2)
    changed = {"DeploymentConfiguration": {"MaximumPercent": 150}}
    stack.deploy({"Fixed": service(DesiredCount=1, **changed), "Scaled": service(**changed)})

    assert [describe(aws, ids[name].rpartition("/")[2])["desiredCount"] for name in ("Fixed", "Scaled")] == [1, 2]
