"""A dispatch by v1 is recognised among all uses of Run Command; what cannot be read counts as one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost_migration.v1.calls import MARKER, Kind, SendCommand, classify
from outpost_migration.v1.layout import BASE, DISPATCH_SCRIPTS, SCRIPTS_FOLDER

HOST = "mi-0123456789abcdef0"


def event(document: str = "AWS-RunShellScript", **changes: object) -> SendCommand:
    made = SendCommand(
        time=datetime(2026, 11, 1, tzinfo=UTC),
        caller="arn:aws:iam::1:user/somebody",
        command_id="c",
        document=document,
        instance_ids=(HOST,),
    )
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("document", "text", "kind"),
    [
        ("AWS-RunShellScript", f'{SCRIPTS_FOLDER}/dispatch-unified.sh a/b "task" --executor=claude', Kind.DISPATCH),
        ("AWS-RunShellScript", "cd ~/claude-executor/scripts && ./dispatch.sh a/b x", Kind.DISPATCH),
        ("AWS-RunShellScript", "sudo -u ubuntu bash -c 'dispatch-codex.sh a/b x'", Kind.DISPATCH),
        ("AWS-RunShellScript", f"ls {BASE}/runs", Kind.DISPATCH),
        ("AWS-RunShellScript", f"{SCRIPTS_FOLDER}/get-results.sh 1", Kind.READ),
        ("AWS-RunShellScript", f"{MARKER}\ntar -c dispatch.sh", Kind.MIGRATION),
        ("AWS-RunShellScript", "apt-get update && apt-get -y upgrade", Kind.OTHER),
        ("AWS-RunShellScript", "./redispatch.shared", Kind.OTHER),
        ("AWS-RunPatchBaseline", None, Kind.OTHER),
        ("AWS-RunShellScript", None, Kind.UNKNOWN),
        ("Our-Own-Document", None, Kind.UNKNOWN),
    ],
)
def test_a_call_is_classified_by_document_and_text(document: str, text: str | None, kind: Kind) -> None:
    assert classify(event(document), text).kind is kind


@given(
    before=st.sampled_from(
        ["", "cd /tmp; ", "nohup ", "bash ", "/home/ubuntu/claude-executor/scripts/", "X=1 ./", "("]
    ),
    script=st.sampled_from(DISPATCH_SCRIPTS),
    after=st.text(alphabet=" 'a\"-=", max_size=12).map(lambda text: f" {text}"),
)
def test_a_dispatch_script_is_seen_wherever_it_stands(before: str, script: str, after: str) -> None:
    assert classify(event(), before + script + after).counts


@given(text=st.none() | st.text(max_size=80))
def test_only_what_is_known_to_be_something_else_does_not_count(text: str | None) -> None:
    call = classify(event(), text)
    assert call.counts == (call.kind in (Kind.DISPATCH, Kind.UNKNOWN))
    if text is None:
        assert call.counts


def test_a_call_may_reach_the_host_by_name_or_by_tag_and_only_when_accepted() -> None:
    assert event().may_reach(HOST)
    assert event(instance_ids=(), targets=True).may_reach(HOST)
    assert not event(instance_ids=("i-1",)).may_reach(HOST)
    assert not event(command_id=None).may_reach(HOST)


def test_the_trails_record_names_caller_and_command_though_its_text_is_hidden() -> None:
    record = {
        "eventID": "e",
        "eventTime": "2026-11-01T00:00:00Z",
        "userIdentity": {"arn": "arn:aws:sts::1:assumed-role/ci/job"},
        "requestParameters": {"documentName": "AWS-RunShellScript", "instanceIds": [HOST], "parameters": "HIDDEN"},
        "responseElements": {"command": {"commandId": "c-1"}},
    }
    read = SendCommand.of(record)
    assert (read.caller, read.command_id, read.instance_ids) == ("arn:aws:sts::1:assumed-role/ci/job", "c-1", (HOST,))
    assert SendCommand.of({**record, "responseElements": None}).command_id is None
