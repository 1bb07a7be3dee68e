"""A step that was cut off, anywhere, is run again and ends as if nothing had happened."""

import itertools
import json
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from outpost_migration.context import Context
from outpost_migration.endpoint import V1Endpoint, V2Endpoint
from outpost_migration.runner import run_step
from outpost_migration.step import R, Step
from outpost_migration.steps import archive, cutover, preflight, rollback
from outpost_migration.steps.shadow import StoredPair
from outpost_migration.v1.layout import DISABLED, SCRIPTS
from outpost_ops.errors import OperationError

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

World = Any
SKIPPED = dict.fromkeys(("preflight", "audit", "archive", "shadow", "validate", "update-clients"), "tested elsewhere")


class Crash(BaseException):
    """The process ends here: nothing catches it."""


def run(context: Context, step: Step[R], **options: Any) -> R:  # noqa: ANN401 - each step has its own
    return run_step(context, step, despite=SKIPPED, **options)


def crashing(world: World, name: str, moment: str, number: int) -> Context:
    """A context whose process dies at its n-th call of AWS: before the call is sent, or after it was done."""
    session, calls = world.session(), itertools.count(1)

    def die(**_: object) -> None:
        if next(calls) == number:
            raise Crash

    context: Context = world.context(name, session=session, sleep=lambda _: threading.Event().wait(0.05))
    session.events.register(moment, die)
    return context


STRIDE = 5
"""A run of the tests dies at every fifth call, from a random one on: each call has its turn in some run."""


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_a_cutover_that_died_at_any_call_is_resumed(fresh: World, moment: str) -> None:
    for number in itertools.count(random.randint(1, STRIDE), STRIDE):
        name = f"crash-{moment}-{number}"
        fresh.reset()
        try:
            run(crashing(fresh, name, moment, number), cutover.STEP)
        except Crash:
            report = run(fresh.context(name), cutover.STEP, take_over=True)
        else:
            break
        context = fresh.context(name)
        assert report.status == "pass", (number, report.checks)
        assert context.secret.current()[1] == V2Endpoint(endpoint=fresh.url)
        assert isinstance(context.secret.v1()[1], V1Endpoint), f"v1's version was lost at call {number}"
        assert fresh.host.scripts() == sorted(f"{name}{DISABLED}" for name in SCRIPTS)
    assert number > 15, "the step makes fewer calls than it should"


@pytest.mark.parametrize("level", [1, 2])
def test_a_rollback_that_died_at_any_call_is_resumed(fresh: World, level: int) -> None:
    for number in itertools.count(random.randint(1, STRIDE), STRIDE * level):
        name = f"crash-back-{level}-{number}"
        fresh.reset()
        run(fresh.context(name), cutover.STEP)
        try:
            run(crashing(fresh, name, "before-call", number), rollback.STEP, level=level, reason="a test")
        except Crash:
            report = run(fresh.context(name), rollback.STEP, level=level, reason="a test", take_over=True)
        else:
            break
        finally:
            resumed = run(fresh.context(name), cutover.STEP) if level == 2 else None
        assert report.status == "pass", (number, report.checks)
        assert resumed is None or resumed.status == "pass", resumed
        if level == 1:
            assert isinstance(fresh.context(name).secret.current()[1], V1Endpoint)
            assert fresh.host.scripts() == sorted(SCRIPTS)
    assert number > 15


def test_an_unreachable_host_stops_the_archive_and_the_next_attempt_ends_it(fresh: World) -> None:
    fresh.host.switch(online=False)
    check = preflight.host_reachable(fresh.context("unreachable"))
    assert (check.id, check.status, check.remedy) == ("v1-host", "fail", "Start its SSM agent")
    with pytest.raises(OperationError, match="cannot be reached"):
        run(fresh.context("unreachable"), archive.STEP)
    entry = fresh.context("unreachable").journal.read().entries["archive"]
    assert (entry.state, "cannot be reached" in (entry.error or "")) == ("error", True)
    fresh.host.switch(online=True)
    report = run(fresh.context("unreachable"), archive.STEP)
    assert report.status == "pass"
    assert fresh.context("unreachable").journal.read().entries["archive"].attempts == 2


def test_a_refused_secret_leaves_v1_in_use_until_the_cutover_is_run_again(fresh: World) -> None:
    context = fresh.context("refused", session=limited(fresh, "secretsmanager:PutSecretValue"))
    with pytest.raises(ClientError, match="PutSecretValue"):
        run(context, cutover.STEP)
    assert fresh.host.scripts() == sorted(SCRIPTS)
    assert isinstance(fresh.context("refused").secret.current()[1], V1Endpoint)
    assert run(fresh.context("refused"), cutover.STEP).status == "pass"


def limited(world: World, denied: str) -> Any:  # noqa: ANN401 - a boto3 session
    """A session of an operator who may do everything but one thing."""
    iam, name = world.client("iam"), f"operator-{denied.rpartition(':')[2]}"
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": denied, "Resource": "*"},
    ]
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="operator", PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return world.session(made["AccessKeyId"], made["SecretAccessKey"])


def test_an_upload_that_is_cut_off_leaves_no_archive_that_looks_complete(fresh: World) -> None:
    with cutting_uploads(fresh.environment.settings.endpoint) as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        with pytest.raises(BotoCoreError):
            run(fresh.context("cut", session=fresh.session()), archive.STEP)
    context = fresh.context("cut")
    assert archive.restore(context, f"{archive.PREFIX}cut/")[0] is False
    report = run(context, archive.STEP)
    assert report.status == "pass", report.checks


@contextmanager
def cutting_uploads(endpoint: str) -> Iterator[str]:
    """A way to S3 that breaks every upload of an archive in the middle."""
    target = urlsplit(endpoint)
    server = Cutter(("127.0.0.1", 0), Cut)
    server.target = (target.hostname, target.port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class Cutter(socketserver.ThreadingTCPServer):
    daemon_threads = True
    target: Any = None


class Cut(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        near: socket.socket = self.request
        with socket.create_connection(self.server.target) as far:  # type: ignore[attr-defined]
            threading.Thread(target=pump, args=(far, near), daemon=True).start()
            while data := near.recv(65_536):
                if data.startswith(b"PUT") and b"/archive/" in data.split(b"\r\n", 1)[0]:
                    far.sendall(data[:200])
                    return
                far.sendall(data)


def pump(far: socket.socket, near: socket.socket) -> None:
    try:
        while data := far.recv(65_536):
            near.sendall(data)
    except OSError:
        return


def test_a_killed_process_is_resumed_by_another_and_keeps_what_was_compared(fresh: World, tmp_path: Path) -> None:
    samples = [{"name": f"sleeps-{n}", "task": f"sleep {1 if n else 0}; echo done {n}"} for n in range(11)]
    samples.append({"name": "fails", "task": "echo fails; exit 4"})
    listing = tmp_path / "samples.json"
    listing.write_text(json.dumps(samples))
    arguments = ["migrate", "--run", "killed", "--despite", "archive=a test", "shadow", "--json"]
    arguments += ["--repo", fresh.repository, "--agent", "shell", "--samples", str(listing)]
    environ = {**fresh.environment.environ(), "OUTPOST_URL": fresh.url, "OUTPOST_API_KEY": fresh.key}
    command = [str(Path(sys.executable).with_name("outpost")), *arguments]
    documents = fresh.context("killed").documents
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (kept := documents.keys("migration/killed/shadow/")):
            assert process.poll() is None, "it ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
    before = documents.read(StoredPair, kept[0])
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (len(report["pairs"]), report["agreeing"]) == (12, 12)
    assert before is not None
    assert before.value.pair.model_dump() in report["pairs"]
