"""Which service and key the commands use, and what they say when they have none."""

import socket
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outpost_client.cli import KEY_VARIABLE, URL_VARIABLE, connection
from outpost_client.cli.connection import Profile, ProfileError, load_profile, save_profile
from outpost_client.cli.main import app

LOCAL = Profile(url="http://127.0.0.1:4566/_alb/outpost", key="otp_local")


@pytest.fixture(autouse=True)
def no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOCAL_PROFILE", tmp_path / "checkout" / "profile.json")
    monkeypatch.setattr(connection, "USER_PROFILE", tmp_path / "home" / "profile.json")
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_the_profile_of_the_checkout_comes_before_that_of_the_user() -> None:
    save_profile(Profile(url="https://outpost.example.com", key="otp_user"), connection.USER_PROFILE)
    assert load_profile(None).key == "otp_user"
    save_profile(LOCAL, connection.LOCAL_PROFILE)
    assert load_profile(None) == LOCAL


def test_the_key_of_the_environment_comes_before_that_of_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profile(LOCAL, connection.LOCAL_PROFILE)
    monkeypatch.setenv(KEY_VARIABLE, "otp_mine")
    assert load_profile(None) == Profile(url=LOCAL.url, key="otp_mine")


def test_a_profiles_key_is_never_sent_to_another_url() -> None:
    save_profile(LOCAL, connection.LOCAL_PROFILE)
    assert load_profile(f"{LOCAL.url}/").key == LOCAL.key
    with pytest.raises(ProfileError, match=r"No API key is configured for https://elsewhere\.example\.com"):
        load_profile("https://elsewhere.example.com")


def test_a_saved_profile_can_be_read_by_its_owner_only() -> None:
    connection.LOCAL_PROFILE.parent.mkdir(parents=True)
    connection.LOCAL_PROFILE.write_text("{}")
    connection.LOCAL_PROFILE.chmod(0o644)
    save_profile(LOCAL, connection.LOCAL_PROFILE)
    assert stat.S_IMODE(connection.LOCAL_PROFILE.stat().st_mode) == 0o600
    assert load_profile(None) == LOCAL


def test_a_broken_profile_is_named_with_the_remedy() -> None:
    connection.LOCAL_PROFILE.parent.mkdir(parents=True)
    connection.LOCAL_PROFILE.write_text('{"url": 1}')
    with pytest.raises(ProfileError, match=r"checkout/profile\.json is not a profile .*: remove it"):
        load_profile(None)


def test_a_profile_does_not_show_its_key() -> None:
    assert LOCAL.key not in repr(LOCAL)


def test_without_a_configuration_a_command_says_how_to_get_one() -> None:
    ended = CliRunner().invoke(app, ["status", "01J000000000000000000000AA"])
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert "make up" in ended.stderr
    assert KEY_VARIABLE in ended.stderr


def test_a_service_that_does_not_answer_is_named_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:  # bound but not listening: nobody else can take the port, and nobody answers
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{held.getsockname()[1]}")
        monkeypatch.setenv(KEY_VARIABLE, "otp_any")
        ended = CliRunner().invoke(app, ["list"])
    assert ended.exit_code == 2
    assert "UNREACHABLE" in ended.stderr
    assert "Is it up?" in ended.stderr
    assert "otp_any" not in ended.output
