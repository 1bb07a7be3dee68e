"""The dashboard of an environment."""

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost.domain.reasons import ReasonCode
from outpost.names import Metric
from outpost_constructs.metrics import MINUTE, by_agent, outpost_metric
from outpost_ops.config import EnvironmentConfig


class Dashboard(Construct):
    """What an operator looks at first: requests, work waiting, the service, the functions."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        balancer: elbv2.ApplicationLoadBalancer,
        service: ecs.FargateService,
        queues: Mapping[str, sqs.IQueue],
        functions: Mapping[str, lambda_.IFunction],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        codes = elbv2.HttpCodeTarget
        metrics = balancer.metrics
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard")
        self.dashboard.add_widgets(
            _graph("Requests", metrics.request_count(period=MINUTE)),
            _graph(
                "Answers",
                metrics.http_code_target(codes.TARGET_4XX_COUNT, period=MINUTE, label="4xx"),
                metrics.http_code_target(codes.TARGET_5XX_COUNT, period=MINUTE, label="5xx"),
            ),
            _graph("Response time", metrics.target_response_time(period=MINUTE, statistic="p95", label="p95")),
        )
        self.dashboard.add_widgets(
            _graph(
                "Wake-ups waiting",
                *(queue.metric_approximate_number_of_messages_visible(label=name) for name, queue in queues.items()),
            ),
            _graph(
                "Control plane",
                service.metric_cpu_utilization(period=MINUTE, label="CPU %"),
                service.metric_memory_utilization(period=MINUTE, label="memory %"),
            ),
            _graph("Function errors", *(f.metric_errors(period=MINUTE, label=name) for name, f in functions.items())),
        )
        self.dashboard.add_widgets(
            _graph("Runnable dispatches", *by_agent(Metric.QUEUE_DEPTH, "Maximum", config)),
            _graph("Age of the oldest, seconds", *by_agent(Metric.OLDEST_RUNNABLE, "Maximum", config)),
            _graph("Claim latency p95, seconds", *by_agent(Metric.CLAIM_LATENCY, "p95", config)),
        )
        self.dashboard.add_widgets(
            _graph("Launches", *by_agent(Metric.LAUNCHES, "Sum", config)),
            _graph(
                "Launches refused, and workers that died before they asked for work",
                *by_agent(Metric.LAUNCH_FAILURES, "Sum", config),
                *by_agent(Metric.START_FAILURES, "Sum", config),
            ),
            _graph("Run time, seconds", *by_agent(Metric.RUN_TIME, "Average", config)),
        )
        self.dashboard.add_widgets(
            _graph(
                "Outcomes", *(outpost_metric(Metric.OUTCOMES, "Sum", config, Reason=str(code)) for code in ReasonCode)
            ),
            _graph(
                "Workers that fell silent",
                outpost_metric(Metric.LEASE_EXPIRIES, "Sum", config),
                outpost_metric(Metric.FLEET_SILENCE, "Maximum", config),
            ),
            _graph(
                "Function duration", *(f.metric_duration(period=MINUTE, label=name) for name, f in functions.items())
            ),
        )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)
