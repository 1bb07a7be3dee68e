"""An ended dispatch is told on the event bus, with what it consumed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.usage_event import DETAIL_TYPE, SOURCE, DispatchEnded
from tests.eventually import eventually

Outpost = Any


@pytest.fixture
def listener(outpost: Outpost) -> Iterator[str]:
    """A queue that receives our events from the bus, as a billing system would."""
    sqs, events = outpost.environment.client("sqs"), outpost.environment.client("events")
    name = f"listener-{new_id().lower()}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [SOURCE], "detail-type": [DETAIL_TYPE]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


def test_the_bus_is_told_what_an_ended_dispatch_consumed(outpost: Outpost, listener: str) -> None:
    dispatch = outpost.dispatch("echo spent", tags={"cost-centre": "42"})
    ended = outpost.ends(dispatch.id)
    assert ended.status == Status.SUCCESS
    event = _event(outpost, listener, dispatch.id)
    assert event.schema_version == "1.1"
    assert (event.status, event.tags, event.agent) == (Status.SUCCESS, {"cost-centre": "42"}, "shell")
    assert event.usage.estimated is False
    assert event.usage.vcpu_seconds == ended.usage.vcpu_seconds > 0
    assert event.usage.capacity == ended.usage.capacity == "on-demand"


def test_an_ended_dispatch_is_counted_once_in_the_usage_of_its_day(outpost: Outpost) -> None:
    tag = new_id()
    dispatch = outpost.dispatch("echo counted", tags={"run": tag})
    ended = outpost.ends(dispatch.id)

    def counted() -> Any:  # noqa: ANN401 - rows of the report
        rows = outpost.client.usage({"tag": "run", "groupBy": ["agent", "day"]}).rows
        return [row for row in rows if row.tag == tag]

    eventually(lambda: counted() != [])
    [row] = counted()
    assert (row.agent, row.dispatches, row.cost_usd) == ("shell", 1, 0)
    assert row.vcpu_seconds == pytest.approx(ended.usage.vcpu_seconds, abs=0.001)


def _event(outpost: Outpost, listener: str, dispatch_id: str) -> DispatchEnded:
    """Wait for the event of one dispatch; those of other tests' dispatches pass by."""
    sqs = outpost.environment.client("sqs")
    for _ in range(12):
        for message in sqs.receive_message(QueueUrl=listener, WaitTimeSeconds=5).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail["id"] == dispatch_id:
                return DispatchEnded.model_validate(detail)
            sqs.delete_message(QueueUrl=listener, ReceiptHandle=message["ReceiptHandle"])
    pytest.fail(f"no event of {dispatch_id} within 60 s")
