"""The dashboard of an environment."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost.domain.reasons import ReasonCode
from outpost.names import Metric
from outpost_constructs.function import OutpostFunction
from outpost_constructs.metrics import MINUTE, OutpostMetrics


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
        functions: Sequence[OutpostFunction],
        metrics: OutpostMetrics,
    ) -> None:
        super().__init__(scope, construct_id)
        codes = elbv2.HttpCodeTarget
        requests = balancer.metrics
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard")
        self.dashboard.add_widgets(
            _graph("Requests", requests.request_count(period=MINUTE)),
            _graph(
                "Answers",
                requests.http_code_target(codes.TARGET_4XX_COUNT, period=MINUTE, label="4xx"),
                requests.http_code_target(codes.TARGET_5XX_COUNT, period=MINUTE, label="5xx"),
            ),
            _graph("Response time", requests.target_response_time(period=MINUTE, statistic="p95", label="p95")),
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
            _graph(
                "Function errors",
                *(each.function.metric_errors(period=MINUTE, label=each.package) for each in functions),
            ),
        )
        self.dashboard.add_widgets(
            _graph("Runnable dispatches", *metrics.by_agent(Metric.QUEUE_DEPTH, "Maximum")),
            _graph("Age of the oldest, seconds", *metrics.by_agent(Metric.OLDEST_RUNNABLE, "Maximum")),
            _graph("Claim latency p95, seconds", *metrics.by_agent(Metric.CLAIM_LATENCY, "p95")),
        )
        self.dashboard.add_widgets(
            _graph("Launches", *metrics.by_agent(Metric.LAUNCHES, "Sum")),
            _graph(
                "Launches refused, and workers that died before they asked for work",
                *metrics.by_agent(Metric.LAUNCH_FAILURES, "Sum"),
                *metrics.by_agent(Metric.START_FAILURES, "Sum"),
            ),
            _graph("Run time, seconds", *metrics.by_agent(Metric.RUN_TIME, "Average")),
        )
        self.dashboard.add_widgets(
            _graph("Outcomes", *(metrics.of(Metric.OUTCOMES, "Sum", Reason=str(code)) for code in ReasonCode)),
            _graph(
                "Workers that fell silent",
                metrics.of(Metric.LEASE_EXPIRIES, "Sum"),
                metrics.of(Metric.FLEET_SILENCE, "Maximum"),
            ),
            _graph(
                "Function duration",
                *(each.function.metric_duration(period=MINUTE, label=each.package) for each in functions),
            ),
        )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)
