"""A limit or period that a page names is the constant's: who changes one finds the sentence here."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from broker import candidates, claim
from control_plane import audit, middleware, server, threads
from control_plane.services import log_reader, streams
from outpost.aws import caller_identity
from outpost.domain import audit as records
from outpost.domain import deadlines, launches, protocol
from outpost.store import dispatches, planner_lock, rows
from outpost_ops.verify import audit_chains
from reconciler import silence, worker_check
from worker import agent_process, lease, lease_calls, steps
from worker import broker as waiting

DOCS = Path(__file__).resolve().parents[2] / "docs"


def seconds(value: timedelta | float) -> str:
    """Return a number of seconds as pages write it."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    return f"{number:,g}"


def minutes(value: timedelta | int) -> str:
    """Return the minutes in a duration, or in a number of milliseconds."""
    number = value.total_seconds() / 60 if isinstance(value, timedelta) else value / 60_000
    return f"{number:g}"


UNSIGNED = minutes(records.CHECKPOINT_PERIOD + audit_chains.GRACE)

NUMBERS = {
    "architecture.md": [f"loop every {seconds(lease.HEARTBEAT_SECONDS)} s, every second while it fails"],
    "agents.md": [f"did not exit within {seconds(agent_process.EXIT_SECONDS)} s after the final event"],
    "operations.md": [
        f"at a time meanwhile, 2, 4, 8 ... {seconds(launches.LONGEST_PAUSE)} seconds",
        f"The heartbeat of workers stopped for {seconds(silence.LEASE)} s",
        f"idle workers ask again every {seconds(waiting.LONGEST_PAUSE)} s",
        f"{seconds(silence.PAUSE_LIMIT.total_seconds() / 3600)} hours at most",
        f"{audit.WAITING:,} for each replica",
        f"After {UNSIGNED} minutes ({minutes(records.CHECKPOINT_PERIOD)} until the next checkpoint, "
        f"{minutes(audit_chains.GRACE)} in which it may be late)",
        f"away for more than {UNSIGNED} minutes",
    ],
    "infrastructure.md": [f"with a signature every {minutes(records.CHECKPOINT_PERIOD)} minutes"],
    "api.md": [
        f"A body is at most {middleware.MAX_BODY_BYTES // 2**20} MiB, path and query together "
        f"{middleware.MAX_URL_BYTES // 2**10} KiB, all headers together {middleware.MAX_HEAD_BYTES // 2**10} KiB",
        f"A request's head has {seconds(server.HEAD_SECONDS)} s, its body {seconds(server.BODY_SECONDS)} s",
        f"For {dispatches.IDEMPOTENCY_HOURS} hours the same key and body",
    ],
    "adr/0040-*": [
        f"each next one {seconds(lease.HEARTBEAT_SECONDS - lease.SPREAD_SECONDS)} to "
        f"{seconds(lease.HEARTBEAT_SECONDS)} s",
        f"or {seconds(lease.RETRY_SECONDS)} s after one that failed",
        f"pauses of up to {seconds(lease_calls.LONGEST_PAUSE)} s",
        f"a model call waits {seconds(lease_calls.GRANT_SECONDS)} s for its grant",
        f"Before a write after {seconds(lease.TRUSTED_SECONDS)} s without any request",
        f"until {seconds(steps.UPLOAD_SECONDS)} s after the agent's end (the reconciler allows "
        f"{minutes(deadlines.UPLOADING_LIMIT)} minutes of `completing`), and "
        f"{seconds(steps.OUTAGE_SECONDS)} s where",
        f"a worker reports for {seconds(steps.REPORT_SECONDS)} s and exits",
        f"ask again after {seconds(waiting.FIRST_PAUSE)} to {seconds(waiting.LONGEST_PAUSE)} s",
        f"before the {seconds(silence.IDLE_SILENCE)} s after which it counts as silent",
        f"for {seconds(waiting.REFUSED_SECONDS)} s without any other response",
    ],
    "adr/0041-*": [
        f"at most by a period ({seconds(silence.PERIOD)} s)",
        f"After `PAUSE_LIMIT`, {seconds(silence.PAUSE_LIMIT.total_seconds() / 3600)} hours of such passes",
        f"the lease is {seconds(silence.COMMON_LEASE)} s instead of {seconds(silence.LEASE)} s",
        f"if the worker was not heard for {seconds(silence.IDLE_SILENCE)} s",
        f"Workers and active rows are read {worker_check.PAGE} at a time",
        f"With passes each {seconds(silence.PERIOD)} s",
        f"| {seconds(silence.LEASE + silence.PERIOD)} s + p |",
        f"| {seconds(silence.COMMON_LEASE + silence.PERIOD)} s + p |",
        f"after {seconds(deadlines.LEAVING)} s to leave",
    ],
    "adr/0042-*": [
        f"blocks the next for {seconds(planner_lock.PLANNER_LEASE)} s",
        f"(2, 4, 8 ... {seconds(launches.LONGEST_PAUSE)} s)",
    ],
    "adr/0043-*": [
        f"Proofs older than {minutes(caller_identity.LIFETIME)} minutes are refused",
        f"Up to {candidates.WINDOW} tenants with work are compared",
        f"it continues, to {candidates.EXAMINED} at most",
        f"left alone for {seconds(dispatches.POSTPONED)}, 10, 20 ... {seconds(dispatches.LONGEST_POSTPONED)} s",
        f"tries other tenants for {seconds(claim.CHOOSING)} s",
        f"while the function's {protocol.BROKER_SECONDS} s last",
    ],
    "adr/0045-*": [
        f"at its start, every {minutes(records.CHECKPOINT_PERIOD)} minutes and at its stop",
        f"Fields are bounded ({records.TEXT_CHARACTERS} characters, {records.RECORD_FIELDS} fields, "
        f"{records.MAP_ENTRIES} entries of a mapping)",
        f"split at {records.BATCH_EVENTS:,} events, {records.BATCH_BYTES:,} bytes and "
        f"{records.BATCH_SPAN // 3_600_000} hours",
        f"{audit.WAITING:,} wait in memory",
        f"and {minutes(audit_chains.GRACE)} minutes in which it may be late",
        f"A stop takes up to {seconds(audit.STOP_SECONDS)} s longer",
    ],
    "adr/0046-*": [
        f"({threads.SHARE} of {threads.THREADS})",
        f"{threads.MOST_WAITING} calls of a tenant may wait",
        f"A request reads for {seconds(log_reader.READ_SECONDS)} s or {log_reader.CHUNKS_A_PAGE} chunks at most",
        f"A replica serves {streams.STREAMS_PER_KEY} streams of a key and {streams.STREAMS:,} in all",
        f"A head has {seconds(server.HEAD_SECONDS)} s from its first byte, a body {seconds(server.BODY_SECONDS)} s, a "
        f"connection without a request {server.KEEP_ALIVE_SECONDS} s",
        f"row stays below {rows.ROW_BYTES // 1024} KB",
    ],
}
"""Page (the only one that the pattern matches) -> sentences that it has, with today's numbers."""


@pytest.mark.parametrize(
    ("page", "sentence"), [(page, sentence) for page, sentences in NUMBERS.items() for sentence in sentences]
)
def test_a_page_names_the_number_that_holds(page: str, sentence: str) -> None:
    (file,) = DOCS.glob(page)
    text = re.sub(r"\s+", " ", file.read_text(encoding="utf-8").replace("**", ""))
    assert sentence in text
