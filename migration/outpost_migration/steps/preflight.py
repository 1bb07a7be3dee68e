"""preflight: the new environment runs, the old one can be reached, the secret can be written."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from botocore.exceptions import ClientError

from outpost.names import CONTROL_PLANE_CONTAINER, MigrationOutput
from outpost.report import Check, Status, overall
from outpost_migration import fleet
from outpost_migration.context import Context
from outpost_migration.step import Report, Step
from outpost_ops.errors import OperationError


class ValidationReport(Report):
    """preflight: the new environment runs, the old one can be reached."""

    file: ClassVar[str] = "validation-report"
    step: Literal["preflight"] = "preflight"
    cluster_arn: str
    task_definition_arns: list[str]
    image_uris: list[str]
    validation_status: Status


def run(context: Context) -> ValidationReport:
    """Check that v2 runs, v1's host can be reached and the secret can be written."""
    tasks = _running_tasks(context)
    found = [
        cluster_active(context),
        service_running(context),
        load_balancer_healthy(context),
        trail_logging(context),
        host_reachable(context),
        secret_writable(context),
    ]
    return context.report(
        ValidationReport,
        found,
        cluster_arn=_cluster(context)["clusterArn"],
        task_definition_arns=sorted({task["taskDefinitionArn"] for task in tasks}),
        image_uris=images(tasks),
        validation_status=overall(found),
    )


STEP = Step(ValidationReport, run, takes="5 s", changes="a version of the secret that no client reads, then removed")


def cluster_active(context: Context) -> Check:
    """The cluster is ACTIVE."""
    cluster = _cluster(context)
    evidence = f"ecs:DescribeClusters {cluster['clusterName']}: status {cluster['status']}"
    return Check.of("cluster", "The cluster is active", cluster["status"] == "ACTIVE", [evidence], "Deploy again")


def service_running(context: Context) -> Check:
    """The service runs as many tasks as it should, at least one."""
    service = fleet.service(context)
    running, desired = service["runningCount"], service["desiredCount"]
    return Check.of(
        "service",
        "The service runs what it should, at least one task",
        service["status"] == "ACTIVE" and running == desired >= 1,
        [f"ecs:DescribeServices {service['serviceName']}: {service['status']}, running {running} of {desired}"],
        "See why tasks stop: the service's events in the console, or its log group",
    )


def load_balancer_healthy(context: Context) -> Check:
    """The load balancer is active and every target is healthy."""
    arn = context.deployment[MigrationOutput.LOAD_BALANCER]
    found = context.deployment.client("elbv2").describe_load_balancers(LoadBalancerArns=[arn])
    balancer, states = found["LoadBalancers"][0], fleet.target_states(context)
    state = balancer["State"]["Code"]
    return Check.of(
        "load-balancer",
        "The load balancer is active and all its targets are healthy",
        None if not states else state == "active" and set(states) == {"healthy"},
        [
            f"elasticloadbalancing:DescribeLoadBalancers {balancer['LoadBalancerName']}: {state}",
            f"elasticloadbalancing:DescribeTargetHealth: {len(states)} targets, {', '.join(states) or 'none'}",
        ],
        "Wait until the service is steady; then look at the health check's responses",
    )


def trail_logging(context: Context) -> Check:
    """The trail logs, and its files are validated."""
    client, name = context.deployment.client("cloudtrail"), context.deployment[MigrationOutput.TRAIL]
    logging = client.get_trail_status(Name=name)["IsLogging"]
    validated = client.get_trail(Name=name)["Trail"].get("LogFileValidationEnabled", False)
    return Check.of(
        "trail",
        "The trail logs, with validation",
        logging and validated,
        [f"cloudtrail:GetTrailStatus {name}: IsLogging {logging}", f"cloudtrail:GetTrail: validation {validated}"],
        "Start it again: aws cloudtrail start-logging; deploy the Audit stack",
    )


def host_reachable(context: Context) -> Check:
    """v1's host runs a command."""
    host = context.host
    ping = host.ping()
    evidence, reached = [f"ssm:DescribeInstanceInformation {host.instance_id}: {ping}"], False
    try:
        result = host.run("echo reached", seconds=60)
        evidence.append(f"ssm:SendCommand echo: exit code {result.exit_code} after {result.seconds:.1f} s")
        reached = result.exit_code == 0 and result.output.strip() == "reached"
    except OperationError as error:
        evidence.append(str(error))
    return Check.of("v1-host", "v1's host runs commands", reached, evidence, "Start its SSM agent")


def secret_writable(context: Context) -> Check:
    """The secret can be written, or has no value yet: then nothing is written, as a probe would become its value."""
    title, remedy = "The endpoint's secret can be written", "Use a role that may write the secret outpost/api-endpoint"
    if context.secret.current() is None:
        title = "The endpoint's secret is still to be written"
        evidence = "secretsmanager:GetSecretValue: no version; the step audit writes the first one"
        return Check.of("secret", title, True, [evidence])
    try:
        context.change("Write a version of the secret that no client reads, and forget it", context.secret.probe)
    except ClientError as error:
        return Check.of("secret", title, False, [f"secretsmanager:PutSecretValue: {error}"], remedy)
    evidence = "not tried in a dry run" if context.dry_run else "secretsmanager:PutSecretValue: accepted"
    return Check.of("secret", title, None if context.dry_run else True, [evidence], remedy)


def images(tasks: Iterable[dict[str, Any]]) -> list[str]:
    """Return the images of our containers; one that GuardDuty adds to a task is none of them."""
    containers = (container for task in tasks for container in task["containers"])
    return sorted({container["image"] for container in containers if container["name"] == CONTROL_PLANE_CONTAINER})


def _cluster(context: Context) -> dict[str, str]:
    clusters: list[dict[str, str]] = context.deployment.client("ecs").describe_clusters(
        clusters=[context.deployment[MigrationOutput.CLUSTER]]
    )["clusters"]
    if not clusters:
        raise OperationError(f"there is no cluster {context.deployment[MigrationOutput.CLUSTER]}: deploy again")
    return clusters[0]


def _running_tasks(context: Context) -> list[dict[str, Any]]:
    client, cluster = context.deployment.client("ecs"), context.deployment[MigrationOutput.CLUSTER]
    arns = client.list_tasks(cluster=cluster, serviceName=context.deployment[MigrationOutput.SERVICE])["taskArns"]
    found: list[dict[str, Any]] = client.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return found
