"""Standard queues deliver at least once, late, and not all at once: MiniStack delivers exactly once and at once.

"You might receive a message copy again"; a short poll "may return no messages" though the queue has some, because it
asks a sample of the servers (Amazon SQS Developer Guide: "At-least-once delivery", "Amazon SQS short and long
polling"). Here a seeded share of the messages is delivered twice, a share late, and a share of the receives returns one
message, or none when it does not wait. FIFO queues stay as they are.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import sqs

from outpost_local.realism import Realism


def install(realism: Realism) -> None:
    """Wrap sending and receiving."""
    send = _sending(sqs._act_send_message, realism)
    # SendMessageBatch calls the function by its module-level name.
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = send
    sqs._collect_msgs = _receiving_fewer(sqs._collect_msgs, realism)
    sqs._HANDLERS["ReceiveMessage"] = _polling_short(sqs._HANDLERS["ReceiveMessage"], realism)


def _sending(send: Callable[..., dict[str, Any]], realism: Realism) -> Callable[..., dict[str, Any]]:
    random = realism.random("messages")

    def send_message(request: dict[str, Any], url: str) -> dict[str, Any]:
        sent = send(request, url)
        queue = sqs._get_q(request.get("QueueUrl", url))
        if not queue["is_fifo"]:
            message = queue["messages"][-1]
            if random.random() < realism.duplicates:
                late = message["visible_at"] + random.random() * realism.delivery_lag
                queue["messages"].append(message | {"visible_at": late})
            if random.random() < realism.late_deliveries:
                message["visible_at"] += random.random() * realism.delivery_lag
        return sent

    return send_message


def _receiving_fewer(collect: Callable[..., list[Any]], realism: Realism) -> Callable[..., list[Any]]:
    random = realism.random("partial_receives")

    def collect_some(queue: dict[str, Any], most: int, visibility: int) -> list[Any]:
        fewer = not queue["is_fifo"] and random.random() < realism.partial_receives
        return collect(queue, 1 if fewer else most, visibility)

    return collect_some


def _polling_short(
    receive: Callable[..., Awaitable[dict[str, Any]]], realism: Realism
) -> Callable[..., Awaitable[dict[str, Any]]]:
    random = realism.random("short_polls")

    async def receive_message(request: dict[str, Any], url: str) -> dict[str, Any]:
        queue = sqs._get_q(request.get("QueueUrl", url), "sqs:ReceiveMessage")
        default = queue["attributes"].get("ReceiveMessageWaitTimeSeconds", 0)
        waits = int(request.get("WaitTimeSeconds", default))
        if not waits and not queue["is_fifo"] and random.random() < realism.partial_receives:
            return {}
        return await receive(request, url)

    return receive_message
