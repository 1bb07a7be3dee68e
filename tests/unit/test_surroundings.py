"""Other people's surroundings: proxies, profiles, consoles, checkouts of Windows users; hostile text on a terminal."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from botocore.config import Config
from typer.testing import CliRunner

from outpost.domain.ids import now
from outpost_client.cli import output
from outpost_client.cli.main import _reach_loopback_directly, app
from outpost_client.models import Dispatch
from outpost_client.results import Status
from outpost_local.environment import LocalEnvironment
from outpost_local.settings import REPOSITORY_ROOT

HOSTILE = (
    "a\x1b]52;c;ZXZpbA==\x07b\x1b]8;;https://evil.example\x1b\\c\x1b[2Jd\x9b31me\u202efg\u2066h\r\u061ci\u2028j\x00k"
)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u061c\u2028\u2029]")


def hostile_dispatch() -> Dispatch:
    return Dispatch(
        id="01J000000000000000000000AA",
        status=Status.RUNNING,
        agent="shell",
        created_at=now(),
        repo=HOSTILE,
        branch=HOSTILE,
        tags={HOSTILE: HOSTILE},
        progress=HOSTILE,
    )


def test_no_command_can_send_controls_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = output.PlainConsole()
    output.out.print(HOSTILE)
    output.err.print(HOSTILE)
    output.print_table("NAME", "KEY", rows=[(HOSTILE, HOSTILE)])
    output.show_error(HOSTILE, code="CONFLICT")
    output.print_dispatch(hostile_dispatch())
    console.print(output.dispatch_table(hostile_dispatch()), HOSTILE, [HOSTILE])
    shown = capsys.readouterr()
    assert "evil.example" in shown.out  # visible, as text
    assert not CONTROLS.findall(shown.out + shown.err)


def test_styles_still_reach_a_terminal() -> None:
    console = output.PlainConsole()
    with console.capture() as captured:
        console._force_terminal = True
        console.print(output.status_text(Status.FAILED))
    assert "failed" in captured.get()


def test_markup_and_emoji_codes_of_others_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.out.print("[link=https://evil.example]click[/link] :skull: [red]x[/red]")
    assert capsys.readouterr().out == "[link=https://evil.example]click[/link] :skull: [red]x[/red]\n"


def test_json_is_ascii_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(hostile_dispatch())
    line = capsys.readouterr().out
    assert line.isascii()
    assert not CONTROLS.findall(line)
    assert json.loads(line)["branch"] == HOSTILE


def test_data_for_a_file_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_text(f"{HOSTILE}\nnext\n")
    assert capsys.readouterr().out == f"{HOSTILE}\nnext\n"


def test_data_on_a_terminal_is_printable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.print_text(f"{HOSTILE}\nnext\n")
    shown = capsys.readouterr().out
    assert shown.endswith("\nnext\n")
    assert not CONTROLS.findall(shown)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_console_of_any_encoding_shows_any_text(encoding: str) -> None:
    script = "from outpost_client.cli import main, output; main.app = lambda: output.out.print('日本語 ✓'); main.main()"
    ended = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    shown = ended.stdout.decode(encoding).strip()
    assert shown == ("日本語 ✓" if encoding == "utf-8" else r"\u65e5\u672c\u8a9e \u2713")


@pytest.mark.parametrize(
    ("given", "excepted"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "corp.example"}, "corp.example,localhost,127.0.0.1,::1"),
        ({"no_proxy": "localhost", "NO_PROXY": "other"}, "localhost,localhost,127.0.0.1,::1"),
    ],
)
def test_this_machine_is_reached_without_the_users_proxy(
    given: dict[str, str], excepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:9", **given}
    _reach_loopback_directly(environ)
    assert environ["no_proxy"] == environ["NO_PROXY"] == excepted
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with httpx.Client() as client:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            transport = client._transport_for_url(httpx.URL(f"http://{host}:4566/"))
            assert transport is client._transport, host


def test_the_embedded_aws_is_reached_whatever_profile_and_proxy_the_user_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "config"
    broken.write_text("[profile x]\nregion = nowhere\n[default]\nregion = elsewhere\n")
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": str(broken),
        "HTTP_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    environment = LocalEnvironment(tmp_path / "data")
    client = environment.client("sts")
    assert client.meta.region_name == environment.settings.region
    assert isinstance(client.meta.config, Config)
    assert client._endpoint.http_session._proxy_config.proxy_url_for("http://127.0.0.1:4566/") is None


def test_a_profile_that_does_not_exist_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    ended = CliRunner().invoke(app, ["verify", "controls", "--env", "dev"])
    assert ended.exit_code == 2
    assert "no-such-profile" in ended.output
    assert "unset it" in ended.output


def test_a_checkout_for_windows_has_scripts_that_run(tmp_path: Path) -> None:
    """`core.autocrlf` turns line ends around where the attributes do not fix them."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", clone], check=True)  # noqa: S607
    (clone / ".gitattributes").write_bytes((REPOSITORY_ROOT / ".gitattributes").read_bytes())
    (clone / "install.sh").write_bytes(b"set -e\necho ok\n")
    git = ["git", "-C", str(clone), "-c", "core.autocrlf=true", "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (clone / "install.sh").unlink()
    subprocess.run([*git, "checkout", "-q", "."], check=True)
    assert (clone / "install.sh").read_bytes() == b"set -e\necho ok\n"
