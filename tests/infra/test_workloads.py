"""How functions, workers and the service run."""

import json
import re

import pytest

from outpost.domain.agents import Agent
from outpost.names import Env
from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT

SPELLINGS = {"x86_64": ("X86_64", "linux/amd64"), "arm64": ("ARM64", "linux/arm64")}
"""How ECS and container builds call what Lambda and the configuration call x86_64 and arm64."""


def test_both_architectures_are_in_use() -> None:
    assert {load(path).architecture for path in (ROOT / "config").glob("*.toml")} == set(SPELLINGS)


def test_functions_and_tasks_are_of_the_configured_architecture(assembly: Assembly, environment: str) -> None:
    architecture = load(ROOT / "config" / f"{environment}.toml").architecture
    functions = [f["Properties"] for _, f in assembly.of_type("AWS::Lambda::Function", environment)]
    tasks = [t["Properties"] for _, t in assembly.of_type("AWS::ECS::TaskDefinition", environment)]

    assert {tuple(function["Architectures"]) for function in functions} == {(architecture,)}
    assert {task["RuntimePlatform"]["CpuArchitecture"] for task in tasks} == {SPELLINGS[architecture][0]}


def test_images_are_built_for_the_configured_architecture(assembly: Assembly, environment: str) -> None:
    architecture = load(ROOT / "config" / f"{environment}.toml").architecture
    platforms = {
        image["source"]["platform"]
        for file in assembly.folder.glob(f"assembly-Outpost-{environment}/*.assets.json")
        for image in json.loads(file.read_text())["dockerImages"].values()
    }

    assert platforms == {SPELLINGS[architecture][1]}


def test_only_our_functions_are_deployed(assembly: Assembly, environment: str) -> None:
    """Functions that the CDK brings along, for custom resources, do not run on the embedded AWS."""
    handlers = {f["Properties"]["Handler"] for _, f in assembly.of_type("AWS::Lambda::Function", environment)}
    ours = {f"{path.name}.handler.handler" for path in (ROOT / "lambda").iterdir() if (path / "handler.py").exists()}
    migration = {f"{name}.handler.handler" for name in ("legacy_watch", "migration_monitor")}
    config = load(ROOT / "config" / f"{environment}.toml")
    left_out = set() if config.migration.enabled else migration
    left_out |= set() if config.deletion_protection else {"deletion_protection.handler.handler"}

    assert handlers == ours - left_out


def test_a_bad_deploy_of_the_service_rolls_back(assembly: Assembly, environment: str) -> None:
    (service,) = (s["Properties"] for _, s in assembly.of_type("AWS::ECS::Service", environment))
    deployment = service["DeploymentConfiguration"]

    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert deployment["MinimumHealthyPercent"] == 100
    assert (deployment["Alarms"]["Enable"], deployment["Alarms"]["Rollback"]) == (True, True)
    assert len(deployment["Alarms"]["AlarmNames"]) == 2


def test_the_service_scales_on_cpu_and_requests(assembly: Assembly, environment: str) -> None:
    metrics = {
        policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"][
            "PredefinedMetricType"
        ]
        for _, policy in assembly.of_type("AWS::ApplicationAutoScaling::ScalingPolicy", environment)
    }

    assert metrics == {"ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"}


def test_liveness_is_what_the_load_balancer_checks(assembly: Assembly, environment: str) -> None:
    (group,) = (g["Properties"] for _, g in assembly.of_type("AWS::ElasticLoadBalancingV2::TargetGroup", environment))

    assert group["HealthCheckPath"] == "/health/live"


def test_containers_are_unprivileged_and_workers_get_time_to_stop(assembly: Assembly, environment: str) -> None:
    containers = _containers(assembly, environment)

    assert set(containers) == {"worker", "control-plane"}
    assert not any(container.get("Privileged") for container in containers.values())
    assert containers["worker"]["StopTimeout"] == 120
    assert containers["control-plane"]["ReadonlyRootFilesystem"] is True


def test_no_worker_waits_for_its_log(assembly: Assembly, environment: str) -> None:
    """Whatever the account's default mode is (ECS API: LogConfiguration, `mode`)."""
    assert _containers(assembly, environment)["worker"]["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def test_workers_drop_named_capabilities_and_keep_what_the_launcher_needs(assembly: Assembly, environment: str) -> None:
    dropped = set(_containers(assembly, environment)["worker"]["LinuxParameters"]["Capabilities"]["Drop"])

    assert {"NET_RAW", "MKNOD", "SYS_CHROOT", "DAC_OVERRIDE"} <= dropped
    assert not dropped & {"ALL", "SETUID", "SETGID", "SETPCAP", "KILL"}


def test_workers_mount_files_with_iam_over_tls(assembly: Assembly, environment: str) -> None:
    volumes = [
        volume["EFSVolumeConfiguration"]
        for _, task in assembly.of_type("AWS::ECS::TaskDefinition", environment)
        for volume in task["Properties"].get("Volumes", [])
    ]

    assert len(volumes) == len(load(ROOT / "config" / f"{environment}.toml").enabled_agents)
    for volume in volumes:
        assert volume["TransitEncryption"] == "ENABLED"
        assert volume["AuthorizationConfig"]["IAM"] == "ENABLED"
        assert "AccessPointId" in volume["AuthorizationConfig"]


@pytest.mark.parametrize(
    ("container", "needed"),
    [
        ("worker", {Env.ENVIRONMENT, Env.VERSION, Env.AGENT, Env.QUEUE_URL, Env.BROKER_FUNCTION, Env.GIT_BASE_URL}),
        ("control-plane", {Env.AGENTS, Env.BOOTSTRAP_KEY_SECRET, Env.SIGNING_SECRET, Env.FILE_SYSTEM_ID, Env.CLUSTER}),
    ],
)
def test_containers_get_the_variables_that_their_code_reads(
    assembly: Assembly, environment: str, container: str, needed: set[Env]
) -> None:
    given = {variable["Name"] for variable in _containers(assembly, environment)[container]["Environment"]}

    assert needed <= given
    assert given <= set(Env)


def test_the_broker_learns_how_long_an_agent_may_be_silent(assembly: Assembly) -> None:
    (shell,) = (p for place, p in assembly.of_type("AWS::SSM::Parameter", "dev") if "/AgentsShell" in place)
    (broker,) = (f for place, f in assembly.of_type("AWS::Lambda::Function", "dev") if "/BrokerFunction" in place)
    seconds = load(ROOT / "config" / "dev.toml").agents[Agent.SHELL].no_progress_seconds

    assert seconds
    assert f'\\"no_progress_seconds\\":{seconds}' in json.dumps(shell["Properties"]["Value"])
    assert "AgentsShell" in json.dumps(broker["Properties"]["Environment"]["Variables"][Env.AGENT_PARAMETERS])


def test_functions_get_the_variables_that_their_code_reads(assembly: Assembly, environment: str) -> None:
    common = {
        Env.DISPATCHES_TABLE,
        Env.TENANTS_TABLE,
        Env.WORKERS_TABLE,
        Env.QUEUES_TABLE,
        Env.ARTIFACTS_BUCKET,
        Env.CLUSTER,
    }
    own = {
        "broker": {Env.AGENT_PARAMETERS, Env.ATTEMPT_ROLE_ARN},
        "planner": {Env.AGENT_PARAMETERS, Env.WORKER_SUBNETS, Env.WORKER_SECURITY_GROUP},
        "reconciler": {Env.AGENT_PARAMETERS},
        "task_events": {Env.AGENT_PARAMETERS},
    }
    for place, function in assembly.of_type("AWS::Lambda::Function", environment):
        name = function["Properties"]["Handler"].split(".")[0]
        given = set(function["Properties"].get("Environment", {}).get("Variables", {}))
        if "-Migration/" in place or not given or name == "dispatch_changes":
            continue  # they know what they watch, or the event that they are given, not the rows
        assert common | own.get(name, set()) <= given <= set(Env), name


def test_changed_dispatch_rows_reach_their_one_reader_and_failures_are_kept(
    assembly: Assembly, environment: str
) -> None:
    mapping, pattern = _mapping(assembly, environment, "AuditRecords")

    assert pattern == {
        "eventName": ["INSERT", "MODIFY"],
        "dynamodb": {"Keys": {"sk": {"S": ["DISPATCH"]}}},
    }
    assert mapping["MaximumBatchingWindowInSeconds"] == 0
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] >= 0
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert "OnFailure" in mapping["DestinationConfig"]


def test_each_stream_has_one_reader_as_more_than_two_are_throttled(assembly: Assembly, environment: str) -> None:
    mappings = [mapping for _, mapping in assembly.of_type("AWS::Lambda::EventSourceMapping", environment)]
    streams = [json.dumps(mapping["Properties"]["EventSourceArn"]) for mapping in mappings]

    assert len(streams) == 2
    assert len(set(streams)) == 2


def test_deleted_workspaces_reach_the_reaper_and_failures_are_kept(assembly: Assembly, environment: str) -> None:
    mapping, pattern = _mapping(assembly, environment, "Reaper")

    assert pattern == {"eventName": ["REMOVE"]}
    assert "OnFailure" in mapping["DestinationConfig"]


def test_the_reaper_reaches_the_file_system_by_the_access_point_only(assembly: Assembly, environment: str) -> None:
    (reaper,) = (
        f["Properties"]
        for _, f in assembly.of_type("AWS::Lambda::Function", environment)
        if f["Properties"]["Handler"] == "workspace_reaper.handler.handler"
    )
    (mount,) = reaper["FileSystemConfigs"]

    assert ":access-point/" in json.dumps(mount["Arn"])
    assert mount["LocalMountPath"] == reaper["Environment"]["Variables"][Env.WORKSPACES_PATH]
    assert "Reaper" in json.dumps(reaper["VpcConfig"]["SecurityGroupIds"])


def _mapping(assembly: Assembly, environment: str, name: str) -> tuple[Resource, Resource]:
    """Return a function's event source mapping and the one pattern of its filter."""
    (mapping,) = (
        mapping["Properties"]
        for place, mapping in assembly.of_type("AWS::Lambda::EventSourceMapping", environment)
        if f"/{name}" in place
    )
    (pattern,) = (json.loads(f["Pattern"]) for f in mapping["FilterCriteria"]["Filters"])
    return mapping, pattern


def test_stopped_tasks_of_our_cluster_reach_their_function_or_a_dead_letter_queue(
    assembly: Assembly, environment: str
) -> None:
    (rule,) = (r for r in _rules(assembly, environment) if "aws.ecs" in r.get("EventPattern", {}).get("source", ()))
    (target,) = rule["Targets"]

    assert rule["EventPattern"]["detail"]["lastStatus"] == ["STOPPED"]
    assert "Cluster" in json.dumps(rule["EventPattern"]["detail"]["clusterArn"])
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert "DeadLetterConfig" in target


def test_planner_and_reconciler_run_each_minute_the_reaper_each_hour(assembly: Assembly, environment: str) -> None:
    schedules = [rule["ScheduleExpression"] for rule in _rules(assembly, environment) if "ScheduleExpression" in rule]

    assert sorted(schedules) == ["rate(1 hour)", "rate(1 minute)", "rate(1 minute)"]


def test_every_alarm_reaches_the_topic(assembly: Assembly, environment: str) -> None:
    alarms = [alarm["Properties"] for _, alarm in assembly.of_type("AWS::CloudWatch::Alarm", environment)]

    assert len(alarms) >= 8
    assert all(alarm["AlarmActions"] for alarm in alarms)


def test_missing_data_raises_no_alarm(assembly: Assembly, environment: str) -> None:
    """It would roll back the deploy of a service that nobody calls."""
    alarms = [alarm["Properties"] for _, alarm in assembly.of_type("AWS::CloudWatch::Alarm", environment)]

    assert {alarm["TreatMissingData"] for alarm in alarms} == {"notBreaching"}


def test_every_alarm_names_a_section_of_the_runbook(assembly: Assembly, environment: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    named = {
        link
        for _, alarm in assembly.of_type("AWS::CloudWatch::Alarm", environment)
        for link in re.findall(r"docs/operations\.md#(\S+)", alarm["Properties"]["AlarmDescription"])
    }

    assert len(list(assembly.of_type("AWS::CloudWatch::Alarm", environment))) >= len(named) > 0
    assert named <= sections


def _rules(assembly: Assembly, environment: str) -> list[Resource]:
    return [r["Properties"] for place, r in assembly.of_type("AWS::Events::Rule", environment) if "-Fleet/" in place]


def _containers(assembly: Assembly, environment: str) -> dict[str, Resource]:
    return {
        container["Name"]: container
        for _, task in assembly.of_type("AWS::ECS::TaskDefinition", environment)
        for container in task["Properties"]["ContainerDefinitions"]
    }


def test_no_deploy_resets_what_scaling_did(assembly: Assembly, environment: str) -> None:
    """CloudFormation sends a template's DesiredCount with every update of the service (containers-roadmap#493)."""
    (service,) = assembly.of_type("AWS::ECS::Service", environment)
    (target,) = assembly.of_type("AWS::ApplicationAutoScaling::ScalableTarget", environment)

    assert "DesiredCount" not in service[1]["Properties"]
    assert target[1]["Properties"]["MinCapacity"] == load(ROOT / "config" / f"{environment}.toml").control_plane.minimum
