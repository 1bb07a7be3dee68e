"""Rules on streams, queues, events, networks, the firewall and monitoring."""

import json
from typing import Any

from tests.aws_rule_cases.case import Case, Resources, allow, att, document, function, ref, res, role


def readers(count: int) -> Resources:
    mapping = res("Lambda::EventSourceMapping", EventSourceArn=att("Table", "StreamArn"), StartingPosition="LATEST")
    return {"Table": res("DynamoDB::Table"), **{f"Reader{n}": mapping for n in range(count)}}


def polled(visibility: int) -> Resources:
    mapping = res("Lambda::EventSourceMapping", EventSourceArn=att("Queue"), FunctionName=ref("Function"))
    return {
        "Role": role(),
        "Function": function(Timeout=30),
        "Queue": res("SQS::Queue", VisibilityTimeout=visibility),
        "Mapping": mapping,
    }


def redriven(seconds: int) -> Resources:
    redrive = {"deadLetterTargetArn": att("Dead"), "maxReceiveCount": 5}
    return {
        "Queue": res("SQS::Queue", MessageRetentionPeriod=3600, RedrivePolicy=redrive),
        "Dead": res("SQS::Queue", MessageRetentionPeriod=seconds),
    }


def target(*others: str, **more: object) -> Resources:
    rule = res(
        "Events::Rule", ScheduleExpression="rate(1 minute)", Targets=[{"Id": "x", "Arn": att("Function"), **more}]
    )
    permission = res("Lambda::Permission", FunctionName=att("Function"), Principal="events.amazonaws.com")
    resources = {
        "Role": role(),
        "Function": function(),
        "Rule": rule,
        "Permission": permission,
        "Dead": res("SQS::Queue"),
    }
    admitted = allow("sqs:SendMessage", att("Dead"), Principal={"Service": "events.amazonaws.com"})
    resources["DeadPolicy"] = res("SQS::QueuePolicy", Queues=[ref("Dead")], PolicyDocument=document(admitted))
    return {name: body for name, body in resources.items() if name not in others}


def filtered(pattern: object) -> Resources:
    filters = {"Filters": [{"Pattern": json.dumps(pattern)}]}
    return {"Mapping": res("Lambda::EventSourceMapping", FilterCriteria=filters)}


def mounted(**more: object) -> Resources:
    return {"Vpc": res("EC2::VPC", **more), "Mount": res("EFS::MountTarget", FileSystemId="fs-1", SubnetId="subnet-1")}


DEAD = {"DeadLetterConfig": {"Arn": att("Dead")}}


def notified(service: str) -> Resources:
    published = allow("sns:Publish", ref("Topic"), Principal={"Service": f"{service}.amazonaws.com"})
    return {
        "Topic": res("SNS::Topic"),
        "Policy": res("SNS::TopicPolicy", Topics=[ref("Topic")], PolicyDocument=document(published)),
        "Alarm": alarm(AlarmActions=[ref("Topic")]),
    }


def alarm(**properties: object) -> dict[str, Any]:
    return res("CloudWatch::Alarm", **{"EvaluationPeriods": 1, "Period": 60, **properties})


def endpoint(table: str, **more: object) -> Resources:
    return {
        "Gateway": res("EC2::InternetGateway"),
        "Public": res("EC2::RouteTable"),
        "Private": res("EC2::RouteTable"),
        "Route": res("EC2::Route", RouteTableId=ref("Public"), GatewayId=ref("Gateway")),
        "Endpoint": res("EC2::VPCEndpoint", VpcEndpointType="Gateway", RouteTableIds=[ref(table)], **more),
    }


OURS = {"PolicyDocument": document(allow("*", Principal="*"))}


def group(own: int, others: int) -> Resources:
    rules = [{"IpProtocol": "tcp", "FromPort": port, "CidrIp": "10.0.0.0/8"} for port in range(own)]
    other = res("EC2::SecurityGroupIngress", GroupId=att("Group", "GroupId"), IpProtocol="tcp")
    return {
        "Group": res("EC2::SecurityGroup", SecurityGroupIngress=rules),
        **{f"Rule{n}": other for n in range(others)},
    }


def subnets(*cidrs: str, zones: tuple[str, ...] = ("us-east-1a", "us-east-1b")) -> Resources:
    made = {
        f"Subnet{n}": res("EC2::Subnet", VpcId=ref("Vpc"), CidrBlock=cidr, AvailabilityZone=zone)
        for n, (cidr, zone) in enumerate(zip(cidrs, zones, strict=False))
    }
    balancer = res("ElasticLoadBalancingV2::LoadBalancer", Subnets=[ref(name) for name in made])
    return {"Vpc": res("EC2::VPC", CidrBlock="10.1.0.0/16"), **made, "Balancer": balancer}


def health(timeout: int) -> Resources:
    properties = {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": timeout}
    return {"Group": res("ElasticLoadBalancingV2::TargetGroup", **properties)}


def firewall(*rules: dict[str, Any]) -> Resources:
    return {"Acl": res("WAFv2::WebACL", Rules=list(rules))}


def managed(name: str, priority: int) -> dict[str, Any]:
    statement = {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": f"AWSManagedRules{name}"}}
    return {"Name": name, "Priority": priority, "Statement": statement}


COMMON, LINUX = managed("CommonRuleSet", 1), managed("LinuxRuleSet", 2)
SEARCHES = [
    {"ByteMatchStatement": {"PositionalConstraint": "CONTAINS", "TextTransformations": [{"Type": "LOWERCASE"}]}}
]
SEARCH = {"Name": "search", "Priority": 3, "Statement": {"OrStatement": {"Statements": SEARCHES * 31}}}


def logged_to(name: str) -> Resources:
    logging = res("WAFv2::LoggingConfiguration", LogDestinationConfigs=[att("Logs")])
    return {"Logs": res("Logs::LogGroup", LogGroupName=name), "Logging": logging}


def dashboard(body: object) -> Resources:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"Dashboard": res("CloudWatch::Dashboard", DashboardBody=text)}


def metric(**more: object) -> Resources:
    return {
        "Filter": res("Logs::MetricFilter", MetricTransformations=[{"MetricName": "errors", "DefaultValue": 0, **more}])
    }


ERRORS = {"Id": "errors", "MetricStat": {"Period": 60}}

CASES = [
    Case("stream-readers", readers(3), readers(2), "Table"),
    Case("queue-visibility", polled(179), polled(180), "Queue"),
    Case("dead-letter-retention", redriven(3600), redriven(1_209_600), "Dead"),
    Case(
        "event-pattern",
        {"Rule": res("Events::Rule", EventPattern={"source": "aws.ecs"})},
        {"Rule": res("Events::Rule", EventPattern={"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"]}})},
        "Rule",
    ),
    Case("event-pattern", filtered({"eventName": "INSERT"}), filtered({"eventName": ["INSERT"]}), "Mapping"),
    Case("private-names", mounted(), mounted(EnableDnsHostnames=True), "Vpc"),
    Case("event-target-permission", target("Permission"), target(), "Function"),
    Case("event-target-permission", target("DeadPolicy", **DEAD), target(**DEAD), "Dead"),
    Case("notice-permission", notified("budgets"), notified("cloudwatch"), "Topic"),
    Case("endpoint-not-public", endpoint("Public", **OURS), endpoint("Private", **OURS), "Endpoint"),
    Case("endpoint-not-public", endpoint("Public", **OURS), endpoint("Public"), "Endpoint"),
    Case("group-rules", group(30, 31), group(30, 30), "Group"),
    Case("subnet-size", subnets("10.1.0.0/29"), subnets("10.1.0.0/28"), "Subnet0"),
    Case(
        "balancer-zones",
        subnets("10.1.0.0/24", "10.1.1.0/24", zones=("us-east-1a", "us-east-1a")),
        subnets("10.1.0.0/24", "10.1.1.0/24"),
        "Balancer",
    ),
    Case("health-check-timeout", health(10), health(9), "Group"),
    Case("firewall-priorities", firewall(COMMON, LINUX | {"Priority": 1}), firewall(COMMON, LINUX), "Acl"),
    Case("firewall-capacity", firewall(COMMON, LINUX, SEARCH), firewall(COMMON, LINUX), "Acl"),
    Case("firewall-log-name", logged_to("/outpost/prod/waf"), logged_to("aws-waf-logs-outpost-prod"), "Logging"),
    Case("alarm-period", {"Alarm": alarm(Period=90)}, {"Alarm": alarm(Period=30)}, "Alarm"),
    Case(
        "alarm-period",
        {"Alarm": alarm(Period=1800, EvaluationPeriods=49)},
        {"Alarm": alarm(Period=3600, EvaluationPeriods=49)},
        "Alarm",
    ),
    Case("alarm-datapoints", {"Alarm": alarm(DatapointsToAlarm=2)}, {"Alarm": alarm(DatapointsToAlarm=1)}, "Alarm"),
    Case("alarm-datapoints", {"Alarm": alarm(Metrics=[ERRORS, ERRORS])}, {"Alarm": alarm(Metrics=[ERRORS])}, "Alarm"),
    Case("dashboard-body", dashboard("{"), dashboard({"widgets": []}), "Dashboard"),
    Case("dashboard-body", dashboard({"widgets": [{"x": 20, "width": 6}]}), dashboard({"widgets": [{}]}), "Dashboard"),
    Case("metric-filter-default", metric(Dimensions=[{"Key": "tenant", "Value": "$.tenant"}]), metric(), "Filter"),
]
