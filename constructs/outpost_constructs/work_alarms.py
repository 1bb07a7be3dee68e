"""Alarms on what the functions tell about the work: waiting, launches, silence, ends."""

from collections.abc import Sequence

from aws_cdk import aws_sqs as sqs

from outpost.domain.reasons import ReasonCode
from outpost.names import Metric
from outpost_constructs.alarms import Alarms
from outpost_constructs.metrics import MINUTE, by_agent, combine, outpost_metric
from outpost_ops.config import EnvironmentConfig

_LONG_PAUSES = 20
"""Minutes that hold three attempts of a planner that pauses for five between them."""


def alarm_on_work(alarms: Alarms, dead_letters: Sequence[sqs.IQueue], config: EnvironmentConfig) -> None:
    """Add the alarms of an environment's work; `dead_letters` are those of the agents' wake-ups."""
    dead = [queue.metric_approximate_number_of_messages_visible(period=MINUTE) for queue in dead_letters]
    alarms.add(
        "OldestRunnable",
        combine("MAX", by_agent(Metric.OLDEST_RUNNABLE, "Maximum", config), "seconds"),
        above=300,
        description="A dispatch that could run waits for five minutes",
        runbook="work-waits",
    )
    alarms.add(
        "LaunchFailures",
        combine("SUM", by_agent(Metric.LAUNCH_FAILURES, "Sum", config), "refused"),
        above=0,
        description="ECS refuses to launch workers",
        runbook="launches-refused",
        minutes=_LONG_PAUSES,
    )
    alarms.add(
        "StartFailures",
        combine("SUM", by_agent(Metric.START_FAILURES, "Sum", config), "died"),
        above=0,
        description="Workers die before they ask for work: a bad image, or a crash loop",
        runbook="workers-do-not-start",
        minutes=_LONG_PAUSES,
    )
    alarms.add(
        "LeaseExpiries",
        outpost_metric(Metric.LEASE_EXPIRIES, "Sum", config),
        above=0,
        description="Workers fall silent",
        runbook="silent-workers",
    )
    alarms.add(
        "FleetSilence",
        outpost_metric(Metric.FLEET_SILENCE, "Maximum", config),
        above=0,
        description="Nearly no worker is heard, so that none is declared lost",
        runbook="silent-fleet",
    )
    alarms.add(
        "InternalErrors",
        outpost_metric(Metric.OUTCOMES, "Sum", config, Reason=ReasonCode.INTERNAL_ERROR),
        above=0,
        description="Dispatches end with INTERNAL_ERROR",
        runbook="internal-errors",
    )
    alarms.add(
        "WakeUpsGivenUp",
        combine("MAX", dead, "messages"),
        above=0,
        description="Wake-ups were received five times and never deleted",
        runbook="wake-ups-given-up",
    )
