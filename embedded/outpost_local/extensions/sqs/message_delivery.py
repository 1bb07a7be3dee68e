"""Standard queues deliver at least once, late, and not all at once: MiniStack delivers exactly once and at once.

"You might receive a message copy again"; a short poll "may return no messages" though the queue has some, because it
asks a sample of the servers (Amazon SQS Developer Guide: "At-least-once delivery", "Amazon SQS short and long
polling"). Here a seeded share of the messages is delivered twice, a share late, and a share of the receives returns one
message, or none when it does not wait. FIFO queues stay as they are.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from ministack.services import sqs

from outpost_local.extensions.patch import Patch, around
from outpost_local.realism import Realism
from outpost_local.settings import Settings

Json = dict[str, Any]


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Wrap sending and receiving; SendMessageBatch calls the function by its module-level name."""
    delivery = _Delivery(settings.realism)
    once, all_at_once = "messages are delivered once and at once", "a receive returns all messages"
    return (
        around("services.sqs._act_send_message", delivery.send, once, "services.sqs._HANDLERS[SendMessage]"),
        around("services.sqs._collect_msgs", delivery.collect, all_at_once),
        around("services.sqs._HANDLERS[ReceiveMessage]", delivery.receive, all_at_once),
    )


class _Delivery:
    """What a standard queue makes of sends and receives."""

    def __init__(self, realism: Realism) -> None:
        self._realism = realism
        purposes = ("messages", "partial_receives", "short_polls")
        self._messages, self._partial, self._short = (realism.random(purpose) for purpose in purposes)

    def send(self, send: Callable[..., Json], request: Json, url: str) -> Json:
        sent = send(request, url)
        queue = sqs._get_q(request.get("QueueUrl", url))
        if not queue["is_fifo"]:
            message, lag, random = queue["messages"][-1], self._realism.delivery_lag, self._messages.random
            if random() < self._realism.duplicates:
                queue["messages"].append(message | {"visible_at": message["visible_at"] + random() * lag})
            if random() < self._realism.late_deliveries:
                message["visible_at"] += random() * lag
        return sent

    def collect(self, collect: Callable[..., list[Any]], queue: Json, most: int, visibility: int) -> list[Any]:
        return collect(queue, 1 if self._is_partial(self._partial, queue) else most, visibility)

    async def receive(self, receive: Callable[..., Awaitable[Json]], request: Json, url: str) -> Json:
        queue = sqs._get_q(request.get("QueueUrl", url), "sqs:ReceiveMessage")
        default = queue["attributes"].get("ReceiveMessageWaitTimeSeconds", 0)
        waits = int(request.get("WaitTimeSeconds", default))
        return {} if not waits and self._is_partial(self._short, queue) else await receive(request, url)

    def _is_partial(self, random: Random, queue: Json) -> bool:
        return not queue["is_fifo"] and random.random() < self._realism.partial_receives
