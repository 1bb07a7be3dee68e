"""Two operators cannot run at once; a crash leaves a lock that its end frees."""

import os
import socket
import subprocess
import sys
import uuid
from datetime import timedelta

import boto3
import pytest

from outpost.domain.ids import now
from outpost_migration.journal import Content, Entry, Holder, Journal, LockedError
from outpost_migration.monitor.documents import DocumentChangedError, Documents


@pytest.fixture
def documents(aws: str) -> Documents:
    client = boto3.client("s3")
    bucket = f"journal-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    return Documents(client, bucket)


def journal(documents: Documents, operator: str) -> Journal:
    return Journal(documents, "run", "local", operator)


def entry() -> Entry:
    return Entry(state="running", operator="ann", started_at=now())


def test_the_second_operator_is_refused_while_the_first_holds_the_lock(documents: Documents) -> None:
    ann, bob = journal(documents, "ann"), journal(documents, "bob")
    with ann.held():
        with pytest.raises(LockedError, match="ann runs a step"), bob.held():
            raise AssertionError("both hold the lock")
        ann.set("audit", entry())
    with bob.held():
        assert bob.content.entries["audit"].operator == "ann"


def test_of_two_that_read_the_same_version_one_is_refused(documents: Documents) -> None:
    etag = documents.write("key", Content(run="r", environment="e"), None)
    documents.write("key", Content(run="first", environment="e"), etag)
    with pytest.raises(DocumentChangedError):
        documents.write("key", Content(run="second", environment="e"), etag)
    with pytest.raises(DocumentChangedError):
        documents.write("key", Content(run="new", environment="e"), None)
    found = documents.read(Content, "key")
    assert found is not None
    assert found.value.run == "first"


@pytest.mark.parametrize("reads", [False, True])
def test_who_lost_the_lock_writes_nothing_more(documents: Documents, *, reads: bool) -> None:
    ann, bob = journal(documents, "ann"), journal(documents, "bob")
    with pytest.raises(LockedError, match="another operator"):
        lose(ann, bob, reads=reads)
    assert bob.read().entries == {}


def lose(journal: Journal, other: Journal, *, reads: bool) -> None:
    """Lose the lock in the middle of a step, and go on."""
    with journal.held():
        with other.held(take_over=True):
            pass
        if reads:
            journal.read()
        journal.set("audit", entry())


def held_by(documents: Documents, pid: int, host: str, seconds: float) -> None:
    holder = Holder(operator="ann", host=host, pid=pid, until=now() + timedelta(seconds=seconds))
    documents.replace(journal(documents, "ann").key, Content(run="run", environment="local", holder=holder))


def test_the_lock_of_a_dead_process_of_this_machine_is_free(documents: Documents) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held_by(documents, ended.pid, socket.gethostname(), 60)
    with journal(documents, "bob").held():
        pass
    held_by(documents, os.getpid(), socket.gethostname(), 60)
    with pytest.raises(LockedError), journal(documents, "bob").held():
        pass


def test_the_lock_of_another_machine_ends_with_its_lease(documents: Documents) -> None:
    held_by(documents, 1, "elsewhere", 60)
    with pytest.raises(LockedError, match="--take-over"), journal(documents, "bob").held():
        pass
    held_by(documents, 1, "elsewhere", -1)
    with journal(documents, "bob").held():
        pass
