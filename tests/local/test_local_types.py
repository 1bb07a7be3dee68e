"""The CloudFormation types added to MiniStack: created, changed and deleted for real."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from outpost_local.environment import LocalEnvironment
from tests.local.stacks import Resources, Stack, network, resource, trail_policy, unextended

OURS = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Backup::BackupSelection",
    "AWS::Budgets::Budget",
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::Instance",
    "AWS::EC2::NatGateway",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACLAssociation",
}


def test_ministack_still_lacks_every_type_we_add() -> None:
    assert not OURS & set(unextended("list(provisioners._RESOURCE_HANDLERS)"))


def test_the_list_of_added_types_is_complete() -> None:
    program = (
        "from outpost_local.extensions.cloudformation import handlers, operations_types\n"
        "from outpost_local.extensions.ec2 import network_types\n"
        "from outpost_local.extensions.ecs import scaling\n"
        "patches = [*network_types.PATCHES, *operations_types.PATCHES, *scaling.PATCHES]\n"
        "print(*(each.target.split('[')[1][:-1] for each in patches if each.reason == handlers.MISSING_TYPE))"
    )
    added = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert set(added) == OURS


def test_a_nat_gateway_uses_an_elastic_ip_and_both_go_with_the_stack(aws: LocalEnvironment, stack: Stack) -> None:
    resources = network() | {
        "Address": resource("AWS::EC2::EIP", Domain="vpc"),
        "Nat": resource(
            "AWS::EC2::NatGateway",
            SubnetId={"Ref": "Subnet"},
            AllocationId={"Fn::GetAtt": ["Address", "AllocationId"]},
        ),
    }
    ids = stack.deploy(resources)
    ec2 = aws.client("ec2")

    def addresses() -> list[str]:
        return [address["PublicIp"] for address in ec2.describe_addresses()["Addresses"]]

    def state() -> str:
        nat: str = ec2.describe_nat_gateways(NatGatewayIds=[ids["Nat"]])["NatGateways"][0]["State"]
        return nat

    assert ids["Address"] in addresses()
    assert state() == "available"
    resources["Nat"]["Properties"]["Tags"] = [{"Key": "a", "Value": "b"}]
    assert stack.deploy(resources)["Nat"] == ids["Nat"]
    stack.delete()
    assert ids["Address"] not in addresses()
    assert state() == "deleted"


def test_a_single_rule_joins_and_leaves_its_group(aws: LocalEnvironment, stack: Stack) -> None:
    def rule(port: int) -> Resources:
        common = {"GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        return {
            "In": resource("AWS::EC2::SecurityGroupIngress", **common, SourceSecurityGroupId={"Ref": "Group"}),
            "Out": resource("AWS::EC2::SecurityGroupEgress", **common, CidrIp="10.9.0.0/16"),
        }

    def ports(group: str) -> tuple[list[int], list[int]]:
        found = aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        both = [
            [r["FromPort"] for r in found[key] if "FromPort" in r] for key in ("IpPermissions", "IpPermissionsEgress")
        ]
        return both[0], both[1]

    group = stack.deploy(network() | rule(80))["Group"]
    assert ports(group) == ([80], [80])
    stack.deploy(network() | rule(443))
    assert ports(group) == ([443], [443])
    stack.deploy(network())
    assert ports(group) == ([], [])


def test_a_flow_log_and_an_instance_exist_until_the_stack_goes(aws: LocalEnvironment, stack: Stack) -> None:
    resources = network() | {
        "Flow": resource(
            "AWS::EC2::FlowLog",
            ResourceId={"Ref": "Vpc"},
            ResourceType="VPC",
            TrafficType="ALL",
            LogGroupName="/flow",
            DeliverLogsPermissionArn="arn:aws:iam::000000000000:role/flow",
        ),
        "Machine": resource("AWS::EC2::Instance", ImageId="ami-1", SubnetId={"Ref": "Subnet"}, InstanceType="t4g.nano"),
    }
    ids = stack.deploy(resources)
    ec2 = aws.client("ec2")
    assert ec2.describe_flow_logs(FlowLogIds=[ids["Flow"]])["FlowLogs"][0]["ResourceId"] == ids["Vpc"]

    def state() -> str:
        found = ec2.describe_instances(InstanceIds=[ids["Machine"]])["Reservations"][0]["Instances"][0]
        name: str = found["State"]["Name"]
        return name

    assert state() == "running"
    resources["Machine"]["Properties"]["InstanceType"] = "t4g.micro"
    assert stack.deploy(resources)["Machine"] == ids["Machine"]  # stopped and started, not replaced
    found = ec2.describe_instances(InstanceIds=[ids["Machine"]])["Reservations"][0]["Instances"][0]
    assert found["InstanceType"] == "t4g.micro"
    stack.delete()
    assert not ec2.describe_flow_logs(FlowLogIds=[ids["Flow"]])["FlowLogs"]
    assert state() == "terminated"


def test_a_trail_logs_with_its_selectors_and_can_be_switched_off(aws: LocalEnvironment, stack: Stack) -> None:
    bucket = f"trail-{uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(trail_policy(bucket)))
    selector = {"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}
    trail = resource(
        "AWS::CloudTrail::Trail",
        S3BucketName=bucket,
        IsLogging=True,
        EnableLogFileValidation=True,
        IsMultiRegionTrail=True,
        CloudWatchLogsLogGroupArn="arn:aws:logs:us-east-1:000000000000:log-group:trail:*",
        CloudWatchLogsRoleArn="arn:aws:iam::000000000000:role/trail",
        EventSelectors=[selector],
    )
    name = stack.deploy({"Trail": trail})["Trail"]
    cloudtrail = aws.client("cloudtrail")
    found = cloudtrail.get_trail(Name=name)["Trail"]
    assert found["LogFileValidationEnabled"]
    assert found["CloudWatchLogsLogGroupArn"].endswith(":trail:*")
    assert cloudtrail.get_event_selectors(TrailName=name)["EventSelectors"][0]["ReadWriteType"] == "WriteOnly"
    assert cloudtrail.get_trail_status(Name=name)["IsLogging"]
    trail["Properties"]["IsLogging"] = False
    assert stack.deploy({"Trail": trail})["Trail"] == name
    assert not cloudtrail.get_trail_status(Name=name)["IsLogging"]
    stack.delete()
    assert name not in [listed["Name"] for listed in cloudtrail.list_trails()["Trails"]]


def test_a_web_acl_protects_a_load_balancer(aws: LocalEnvironment, stack: Stack) -> None:
    visibility = {"CloudWatchMetricsEnabled": False, "MetricName": "m", "SampledRequestsEnabled": False}
    resources = network() | {
        "Balancer": resource(
            "AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=[{"Ref": "Subnet"}], Type="application"
        ),
        "Acl": resource(
            "AWS::WAFv2::WebACL", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility
        ),
        "Association": resource(
            "AWS::WAFv2::WebACLAssociation",
            ResourceArn={"Ref": "Balancer"},
            WebACLArn={"Fn::GetAtt": ["Acl", "Arn"]},
        ),
        "Logging": resource(
            "AWS::WAFv2::LoggingConfiguration",
            ResourceArn={"Fn::GetAtt": ["Acl", "Arn"]},
            LogDestinationConfigs=["arn:aws:logs:us-east-1:000000000000:log-group:aws-waf-logs-x"],
        ),
    }
    balancer = stack.deploy(resources)["Balancer"]
    waf = aws.client("wafv2")
    assert waf.get_web_acl_for_resource(ResourceArn=balancer)["WebACL"]["Name"]
    del resources["Association"]
    stack.deploy(resources)
    with pytest.raises(waf.exceptions.WAFNonexistentItemException):
        waf.get_web_acl_for_resource(ResourceArn=balancer)


def test_a_budget_follows_its_template(aws: LocalEnvironment, stack: Stack) -> None:
    def budget(amount: int) -> Resources:
        limit = {"Amount": amount, "Unit": "USD"}
        data = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        return {"Budget": resource("AWS::Budgets::Budget", Budget=data)}

    budgets = aws.client("budgets")

    def amount(name: str) -> str:
        found = budgets.describe_budget(AccountId="000000000000", BudgetName=name)["Budget"]
        text: str = found["BudgetLimit"]["Amount"]
        return text

    name = stack.deploy(budget(50))["Budget"]
    assert float(amount(name)) == 50
    assert stack.deploy(budget(60))["Budget"] == name
    assert float(amount(name)) == 60
    stack.delete()
    with pytest.raises(budgets.exceptions.NotFoundException):
        amount(name)


def test_a_backup_selection_belongs_to_its_plan(aws: LocalEnvironment, stack: Stack) -> None:
    rule = {"RuleName": "daily", "TargetBackupVault": {"Ref": "Vault"}}
    selection = {"SelectionName": "all", "IamRoleArn": "arn:aws:iam::000000000000:role/b", "Resources": ["*"]}
    ids = stack.deploy(
        {
            "Vault": resource("AWS::Backup::BackupVault", BackupVaultName=f"vault-{uuid4().hex[:8]}"),
            "Plan": resource("AWS::Backup::BackupPlan", BackupPlan={"BackupPlanName": "p", "BackupPlanRule": [rule]}),
            "Selection": resource(
                "AWS::Backup::BackupSelection", BackupPlanId={"Ref": "Plan"}, BackupSelection=selection
            ),
        }
    )
    listed = aws.client("backup").list_backup_selections(BackupPlanId=ids["Plan"])["BackupSelectionsList"]
    assert [found["SelectionName"] for found in listed] == ["all"]


def test_a_composite_alarm_follows_the_alarms_it_names(aws: LocalEnvironment, stack: Stack) -> None:
    comparison = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 1, "EvaluationPeriods": 1, "Period": 60}
    alarm = resource("AWS::CloudWatch::Alarm", Namespace="n", MetricName="m", Statistic="Sum", **comparison)
    composite = resource(
        "AWS::CloudWatch::CompositeAlarm", AlarmRule={"Fn::Sub": 'ALARM("${One}")'}, AlarmDescription="first"
    )
    ids = stack.deploy({"One": alarm, "Any": {**composite, "DependsOn": "One"}})
    cloudwatch = aws.client("cloudwatch")

    def described() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = cloudwatch.describe_alarms(
            AlarmNames=[ids["Any"]], AlarmTypes=["CompositeAlarm"]
        )["CompositeAlarms"]
        return found

    cloudwatch.set_alarm_state(AlarmName=ids["One"], StateValue="ALARM", StateReason="test")
    assert described()[0]["StateValue"] == "ALARM"
    composite["Properties"]["AlarmDescription"] = "second"
    stack.deploy({"One": alarm, "Any": {**composite, "DependsOn": "One"}})
    assert (described()[0]["AlarmDescription"], described()[0]["StateValue"]) == ("second", "ALARM")
    stack.delete()
    assert not described()


def test_a_cluster_takes_its_capacity_providers(aws: LocalEnvironment, stack: Stack) -> None:
    strategy = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1, "Base": 0}]
    ids = stack.deploy(
        {
            "Cluster": resource("AWS::ECS::Cluster"),
            "Providers": resource(
                "AWS::ECS::ClusterCapacityProviderAssociations",
                Cluster={"Ref": "Cluster"},
                CapacityProviders=["FARGATE", "FARGATE_SPOT"],
                DefaultCapacityProviderStrategy=strategy,
            ),
            "Target": resource(
                "AWS::ApplicationAutoScaling::ScalableTarget",
                ServiceNamespace="ecs",
                ScalableDimension="ecs:service:DesiredCount",
                ResourceId="service/c/s",
                MinCapacity=1,
                MaxCapacity=2,
            ),
            "Policy": resource(
                "AWS::ApplicationAutoScaling::ScalingPolicy",
                PolicyName="cpu",
                PolicyType="TargetTrackingScaling",
                ScalingTargetId={"Ref": "Target"},
            ),
        }
    )
    cluster = aws.client("ecs").describe_clusters(clusters=[ids["Cluster"]])["clusters"][0]
    assert cluster["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["defaultCapacityProviderStrategy"][0]["capacityProvider"] == "FARGATE_SPOT"


def test_a_template_with_a_type_nobody_knows_is_refused(stack: Stack) -> None:
    deploy: Callable[[Resources], dict[str, str]] = stack.deploy
    with pytest.raises(Exception, match="Unrecognized resource types"):
        deploy({"X": resource("AWS::Nowhere::Thing")})
