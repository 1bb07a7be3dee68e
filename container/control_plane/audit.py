"""The audit log of calls: one record for each authenticated request, written behind the requests' backs.

Records wait in memory for a second at most and go to CloudWatch Logs in batches, from a thread of their own. What a
crash loses of them is in the service's log, which has a line for each request as well.
"""

import json
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Self

import boto3
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.ids import new_id
from outpost.names import Env
from outpost.store.database import CLIENT_CONFIG

if TYPE_CHECKING:
    from types_boto3_logs.client import CloudWatchLogsClient
    from types_boto3_logs.type_defs import InputLogEventTypeDef

logger = structlog.get_logger()

WAITING = 20_000
"""Records kept while CloudWatch Logs does not answer; beyond them records are lost, and the service's log says so."""
BATCH = 1_000
"""Records a call; it takes 10,000 and a MiB, and a record has at most a KiB."""
PATIENCE_SECONDS = 1.0
FLUSH_SECONDS = 5.0


class AuditLog:
    """A stream of the audit log group. `record` never blocks and never raises."""

    def __init__(self, client: "CloudWatchLogsClient", group: str) -> None:
        self._client = client
        self._group = group
        self._stream = f"calls/{new_id()}"
        self._records: queue.Queue[InputLogEventTypeDef] = queue.Queue(WAITING)
        self._urgent = threading.Event()
        self._made = False
        self._writer = threading.Thread(target=self._write, name="audit", daemon=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as the environment says."""
        return cls(boto3.client("logs", config=CLIENT_CONFIG), os.environ[Env.AUDIT_LOG_GROUP])

    def record(self, **what: object) -> None:
        """Write a record down, soon."""
        event: InputLogEventTypeDef = {"timestamp": int(time.time() * 1000), "message": json.dumps(what)}
        try:
            self._records.put_nowait(event)
        except queue.Full:
            logger.error("an audit record is lost: CloudWatch Logs has not answered for long", **what)  # noqa: TRY400

    def start(self) -> None:
        """Begin to write."""
        if not self._writer.is_alive():
            self._writer.start()

    def flush(self) -> None:
        """Wait until all is written that was recorded, for some seconds at most."""
        self._urgent.set()
        written = self._records.all_tasks_done
        with written:
            written.wait_for(lambda: not self._records.unfinished_tasks, FLUSH_SECONDS)

    def _write(self) -> None:
        while True:
            batch = [self._records.get()]
            # Others come along, and then all go together.
            self._urgent.wait(PATIENCE_SECONDS)
            self._urgent.clear()
            batch += (self._records.get_nowait() for _ in range(min(self._records.qsize(), BATCH - 1)))
            batch.sort(key=lambda event: event["timestamp"])
            while not self._sent(batch):
                time.sleep(PATIENCE_SECONDS)
            for _ in batch:
                self._records.task_done()

    def _sent(self, batch: "list[InputLogEventTypeDef]") -> bool:
        try:
            if not self._made:
                self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
                self._made = True
            self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)
        except (BotoCoreError, ClientError) as error:
            self._made = self._made or "ResourceAlreadyExists" in str(error)
            logger.warning("audit records wait: not written", records=len(batch), error=type(error).__name__)
            return False
        return True
