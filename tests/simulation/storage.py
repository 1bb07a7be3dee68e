"""S3, SQS, EventBridge, STS and Secrets Manager, as far as our code uses them."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.simulation.aws import Call, Operation
from tests.simulation.errors import client_error
from tests.simulation.faults import Faults
from tests.simulation.scheduler import EPOCH, Event, Host, Scheduler

Request = dict[str, Any]
Response = dict[str, Any]
VISIBILITY = 30.0
"""Seconds for which a message that was received is hidden (constructs/outpost_constructs/queues.py)."""


@dataclass
class FakeS3:
    """One bucket."""

    objects: dict[str, bytes] = field(default_factory=dict)
    stored: Callable[[str, bytes], None] = lambda key, body: None

    def operations(self) -> dict[str, Operation]:
        return {
            "put_object": self.put_object,
            "get_object": self.get_object,
            "head_object": self.head_object,
            "list_objects_v2": self.list_objects_v2,
            "head_bucket": lambda request, call: {},
        }

    def put_object(self, request: Request, _: Call) -> Response:
        key, body = request["Key"], request["Body"]
        content = body if isinstance(body, bytes) else body.read()
        if request.get("IfNoneMatch") == "*" and key in self.objects:
            raise client_error("PutObject", "PreconditionFailed", status=412)
        if "IfMatch" in request and request["IfMatch"] != _etag(self.objects.get(key, b"")):
            raise client_error("PutObject", "PreconditionFailed", status=412)
        self.objects[key] = content
        self.stored(key, content)
        return {"ETag": _etag(content)}

    def get_object(self, request: Request, _: Call) -> Response:
        if request["Key"] not in self.objects:
            raise client_error("GetObject", "NoSuchKey", status=404)
        body = self.objects[request["Key"]]
        return {"Body": io.BytesIO(body), "ContentLength": len(body)}

    def head_object(self, request: Request, _: Call) -> Response:
        if request["Key"] not in self.objects:
            raise client_error("HeadObject", "404", status=404)
        body = self.objects[request["Key"]]
        checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        return {"ContentLength": len(body), "ChecksumCRC32": checksum, "ETag": _etag(body)}

    def list_objects_v2(self, request: Request, _: Call) -> Response:
        prefix = request.get("Prefix", "")
        found = [key for key in sorted(self.objects) if key.startswith(prefix)]
        if "Delimiter" in request:
            found = [key for key in found if request["Delimiter"] not in key.removeprefix(prefix)]
        return {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in found], "KeyCount": len(found)}


def _etag(body: bytes) -> str:
    return f'"{zlib.crc32(body):08x}"'


@dataclass
class _Queue:
    messages: list[tuple[float, int]] = field(default_factory=list)
    """When each becomes visible, and its number."""
    arrived: Event | None = None


class FakeSqs:
    """Queues whose messages are lost, late or delivered twice."""

    def __init__(self, scheduler: Scheduler, faults: Faults, seed: int) -> None:
        self._scheduler = scheduler
        self._faults = faults
        self._host = Host("sqs", seed)
        self._queues: dict[str, _Queue] = {}
        self.sent: dict[str, list[str]] = {}
        """The bodies of all messages, by queue."""
        self._bodies: dict[int, str] = {}
        self._count = 0

    def operations(self) -> dict[str, Operation]:
        return {
            "send_message": self.send_message,
            "receive_message": self.receive_message,
            "delete_message": self.delete_message,
        }

    def _queue(self, request: Request) -> _Queue:
        queue = self._queues.setdefault(request["QueueUrl"], _Queue())
        queue.arrived = queue.arrived or Event(self._scheduler)
        return queue

    def send_message(self, request: Request, call: Call) -> Response:
        now, shares = self._scheduler.now, self._faults.messages
        self.sent.setdefault(request["QueueUrl"], []).append(request["MessageBody"])
        self._bodies[self._count + 1] = request["MessageBody"]
        self._count += 1
        what = f" message {self._count}"
        if self._faults.strikes("message lost", shares.get("lost", 0.0), call.host, now, what):
            return {"MessageId": str(self._count)}
        copies = 1 + self._faults.strikes("message doubled", shares.get("doubled", 0.0), call.host, now, what)
        late = self._faults.strikes("message late", shares.get("late", 0.0), call.host, now, what)
        queue = self._queue(request)
        for copy in range(copies):
            delay = call.host.random.uniform(5, 90) if late else copy * 3.0
            queue.messages.append((now + delay, self._count))
        if queue.arrived is not None:
            queue.arrived.set()
        return {"MessageId": str(self._count)}

    def receive_message(self, request: Request, call: Call) -> Response:
        queue = self._queue(request)
        end = self._scheduler.now + request.get("WaitTimeSeconds", 0)
        while (number := self._take(queue)) is None:
            left = end - self._scheduler.now
            if left <= 0 or queue.arrived is None:
                return {}
            due = [visible_at - self._scheduler.now for visible_at, _ in queue.messages]
            queue.arrived.clear()
            queue.arrived.wait(min([left, *(wait for wait in due if wait > 0)]))
        return {"Messages": [{"Body": self._bodies[number], "MessageId": str(number), "ReceiptHandle": str(number)}]}

    def _take(self, queue: _Queue) -> int | None:
        now = self._scheduler.now
        for place, (visible_at, number) in enumerate(queue.messages):
            if visible_at <= now:
                queue.messages[place] = (now + VISIBILITY, number)
                return number
        return None

    def delete_message(self, request: Request, _: Call) -> Response:
        queue, number = self._queue(request), int(request["ReceiptHandle"])
        for place, message in enumerate(queue.messages):
            if message[1] == number:
                del queue.messages[place]
                break
        return {}


@dataclass
class FakeEvents:
    """A bus of EventBridge that takes every entry."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    """The details of the events."""

    def operations(self) -> dict[str, Operation]:
        return {"put_events": self.put_events}

    def put_events(self, request: Request, _: Call) -> Response:
        self.taken += [json.loads(entry["Detail"]) for entry in request["Entries"]]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}


def sts_operations(scheduler: Scheduler) -> dict[str, Operation]:
    """Return STS's: credentials for an hour."""

    def assume_role(request: Request, _: Call) -> Response:
        expiry = EPOCH + timedelta(seconds=scheduler.now + request["DurationSeconds"])
        issued = {"AccessKeyId": "id", "SecretAccessKey": "secret-of-an-attempt", "SessionToken": "token"}
        return {"Credentials": issued | {"Expiration": expiry}}

    def get_caller_identity(request: Request, _: Call) -> Response:
        # Of the proof, which the simulation does not sign: the session token is the task's id.
        return {"Arn": f"arn:aws:sts::000000000000:assumed-role/outpost-worker/{request['Proof'].session_token}"}

    return {"assume_role": assume_role, "get_caller_identity": get_caller_identity}
