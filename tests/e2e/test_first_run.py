"""What `make up` does with a deployed environment: a key, a first task, its patch; and again."""

import stat

import pytest

from outpost.cli import connection
from outpost.cli.first_run import bring_up, try_it
from outpost.client import Client
from outpost.local.environment import LocalEnvironment


def test_a_newcomer_sees_a_first_task_come_back_with_its_patch_and_may_do_it_again(
    deployed: LocalEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = deployed.settings.data_dir / "profile.json"
    monkeypatch.setattr(connection, "LOCAL_PROFILE", file)
    monkeypatch.delenv(connection.URL_VARIABLE, raising=False)
    monkeypatch.delenv(connection.KEY_VARIABLE, raising=False)

    profile = bring_up(deployed)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert try_it(deployed, profile) == 0

    shown = capsys.readouterr()
    assert "+    return celsius - ABSOLUTE_ZERO" in shown.out
    assert "Added to_kelvin; running the tests" in shown.out
    assert "success" in shown.err
    assert "Try next" in shown.err
    assert profile.key not in shown.out + shown.err
    with Client(profile.url, profile.key) as client:
        newest = client.dispatches({"tag": "made-by:make-up"}).items[0]
    assert newest.id in shown.err
    assert (deployed.settings.data_dir / "artifacts" / newest.id / "summary.json").exists()

    assert bring_up(deployed) == profile
    assert "(was up)" in capsys.readouterr().err
