"""Alarms and dashboards look at what exists: our own metrics, counted log lines, and metrics that AWS provides."""

import pytest

from outpost.names import LOG_METRIC_NAMESPACE, METRIC_DIMENSIONS, METRIC_NAMESPACE, Metric
from outpost_constructs.metrics import OutpostMetrics
from outpost_ops.config import load
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT
from tests.infra.metrics import Named, named

PROVIDED = {
    *(Named("AWS/Lambda", name, frozenset({"FunctionName"})) for name in ("Errors", "Duration")),
    *(Named("AWS/ECS", f"{name}Utilization", frozenset({"ClusterName", "ServiceName"})) for name in ("CPU", "Memory")),
    Named("AWS/SQS", "ApproximateNumberOfMessagesVisible", frozenset({"QueueName"})),
    *(
        Named("AWS/ApplicationELB", name, frozenset({"LoadBalancer"}))
        for name in ("RequestCount", "TargetResponseTime", "HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count")
    ),
    Named("AWS/ApplicationELB", "UnHealthyHostCount", frozenset({"LoadBalancer", "TargetGroup"})),
}
"""What AWS publishes of the resources that we have, with its dimensions, by the services' documentation."""
MIGRATION = {
    Named(METRIC_NAMESPACE, name, frozenset({"Environment"})) for name in ("LegacyDispatches", "RollbackProposed")
}


def test_metrics_of_aws_are_ones_that_it_publishes(assembly: Assembly, environment: str) -> None:
    of_aws = {metric for metric in named(assembly, environment) if metric.namespace.startswith("AWS/")}

    assert of_aws
    assert of_aws <= PROVIDED


def test_our_metrics_have_the_dimensions_that_the_functions_give_them(assembly: Assembly, environment: str) -> None:
    ours = {metric for metric in named(assembly, environment) if metric.namespace == METRIC_NAMESPACE} - MIGRATION

    assert ours == {
        Named(METRIC_NAMESPACE, metric, frozenset(dimensions)) for metric, dimensions in METRIC_DIMENSIONS.items()
    }


def test_counted_log_lines_come_from_a_filter_of_the_same_templates(assembly: Assembly, environment: str) -> None:
    filters = {
        Named(transformation["MetricNamespace"], transformation["MetricName"], frozenset())
        for _, metric_filter in assembly.of_type("AWS::Logs::MetricFilter", environment)
        for transformation in metric_filter["Properties"]["MetricTransformations"]
    }
    counted = {metric for metric in named(assembly, environment) if metric.namespace == LOG_METRIC_NAMESPACE}

    assert counted
    assert counted <= filters


def test_nothing_else_is_named(assembly: Assembly, environment: str) -> None:
    namespaces = {metric.namespace for metric in named(assembly, environment)}

    assert {name for name in namespaces if not name.startswith("AWS/")} == {METRIC_NAMESPACE, LOG_METRIC_NAMESPACE}


def test_dimensions_that_nobody_emits_are_refused() -> None:
    with pytest.raises(ValueError, match="has the dimensions"):
        OutpostMetrics("dev", ["shell"]).of(Metric.OUTCOMES, "Sum", Agent="shell")


def test_the_budget_tells_the_topic_before_it_is_spent(assembly: Assembly, environment: str) -> None:
    (budget,) = (b["Properties"] for _, b in assembly.of_type("AWS::Budgets::Budget", environment))
    amount = load(ROOT / "config" / f"{environment}.toml").cost.budget

    assert budget["Budget"]["BudgetLimit"] == {"Amount": amount, "Unit": "USD"}
    assert [n["Notification"]["Threshold"] for n in budget["NotificationsWithSubscribers"]] == [80, 100, 100]
    assert all(n["Subscribers"][0]["SubscriptionType"] == "SNS" for n in budget["NotificationsWithSubscribers"])


def test_alarms_and_budgets_may_publish(assembly: Assembly, environment: str) -> None:
    """A topic whose policy demands TLS has no default policy: without these, every alarm is silent."""
    (policy,) = (p["Properties"] for _, p in assembly.of_type("AWS::SNS::TopicPolicy", environment))
    allowed = {
        statement["Principal"]["Service"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }

    assert allowed == {"cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
