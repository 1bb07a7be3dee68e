"""Alarms on what functions and service report: work that waits, launches, silence, ends, and the audit log."""

from collections.abc import Sequence

from aws_cdk import aws_sqs as sqs

from outpost.domain.reasons import ReasonCode
from outpost.names import Metric
from outpost_constructs.alarms import Alarms
from outpost_constructs.metrics import MINUTE, OutpostMetrics, combine

_LONG_PAUSES = 20
"""Minutes that hold three attempts of a planner that pauses for five between them."""


def alarm_on_work(alarms: Alarms, metrics: OutpostMetrics, dead_letters: Sequence[sqs.IQueue]) -> None:
    """Add the alarms of an environment's work; `dead_letters` are those of the agents' wake-ups."""
    oldest = combine("MAX", metrics.by_agent(Metric.OLDEST_RUNNABLE, "Maximum"), "seconds")
    refused = combine("SUM", metrics.by_agent(Metric.LAUNCH_FAILURES, "Sum"), "refused")
    died = combine("SUM", metrics.by_agent(Metric.START_FAILURES, "Sum"), "died")
    silent = metrics.of(Metric.LEASE_EXPIRIES, "Sum")
    fleet = metrics.of(Metric.FLEET_SILENCE, "Maximum")
    internal = metrics.of(Metric.OUTCOMES, "Sum", Reason=ReasonCode.INTERNAL_ERROR)
    dead = [queue.metric_approximate_number_of_messages_visible(period=MINUTE) for queue in dead_letters]
    given_up = combine("MAX", dead, "messages")
    waits = "A dispatch that could run waits for five minutes"
    alarms.add("OldestRunnable", oldest, waits, "work-waits", above=300)
    launches = "ECS refuses to launch workers"
    alarms.add("LaunchFailures", refused, launches, "launches-refused", minutes=_LONG_PAUSES)
    starts = "Workers die before they ask for work: a bad image, or a crash loop"
    alarms.add("StartFailures", died, starts, "workers-do-not-start", minutes=_LONG_PAUSES)
    alarms.add("LeaseExpiries", silent, "Workers fall silent", "silent-workers")
    alarms.add("FleetSilence", fleet, "Nearly no worker is heard, so that none is declared lost", "silent-fleet")
    alarms.add("InternalErrors", internal, "Dispatches end with INTERNAL_ERROR", "internal-errors")
    alarms.add("WakeUpsGivenUp", given_up, "Wake-ups were received five times and never deleted", "wake-ups-given-up")


def alarm_on_audit(alarms: Alarms, metrics: OutpostMetrics) -> None:
    """Add the alarms of an environment's audit log: records that wait, are elsewhere or lost; unsigned heads."""
    waiting = "Audit records wait: neither CloudWatch Logs nor the audit bucket takes them"
    aside = "CloudWatch Logs did not take audit records; they are in the bucket"
    not_signed = "Checkpoints of the audit log could not be signed or stored"
    waits, lost = metrics.of(Metric.AUDIT_WAITING, "Maximum"), metrics.of(Metric.AUDIT_LOST, "Sum")
    set_aside, unsigned = metrics.of(Metric.AUDIT_SET_ASIDE, "Sum"), metrics.of(Metric.AUDIT_UNSIGNED, "Sum")
    alarms.add("AuditWaiting", waits, waiting, "audit-records", above=30)
    alarms.add("AuditSetAside", set_aside, aside, "audit-records", minutes=1)
    alarms.add("AuditLost", lost, "Audit records were lost", "audit-records", minutes=1)
    alarms.add("AuditUnsigned", unsigned, not_signed, "audit-records")
