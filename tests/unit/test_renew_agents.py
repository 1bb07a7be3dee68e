"""The renewal of the agents' programs, with npm and uv against a registry on loopback; and that all pins agree."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from tests.loopback import serving
from tools.renew_agents import AGENTS, PAGE, RenewalError, read_pins, renew

VERSIONS = """# A comment that stays.
parrot = { npm = "@birds/parrot", version = "1.0.0" }
parakeet = { pypi = "parakeet", version = "1.0.0" }
"""
TABLE = """| agent | program | pinned in | provider | default size |
|---|---|---|---|---|
| parrot | `@birds/parrot` 1.0.0 | a file | birds | small |
| parakeet | `parakeet` 1.0.0 | a file | birds | small |

What follows.
"""
PACKAGE = """{
  "name": "p",
  "dependencies": { "@birds/parrot": "1.0.0" },
  "outpost": { "programs": ["a"] }
}
"""
WHEEL = "parakeet-{}-py3-none-any.whl"


class _Registry(BaseHTTPRequestHandler):
    """Has versions 1.0.0 and 1.1.0 of both packages: npm's document, and PyPI's index with the metadata of wheels."""

    def do_GET(self) -> None:
        url = f"http://{self.headers['Host']}"
        if self.path.endswith(".metadata"):
            version = self.path.split("-")[1]
            return self._respond("text/plain", f"Metadata-Version: 2.1\nName: parakeet\nVersion: {version}\n")
        if self.path.startswith("/simple/parakeet/"):
            files = [WHEEL.format(version) for version in ("1.0.0", "1.1.0")]
            sums = [hashlib.sha256(file.encode()).hexdigest() for file in files]
            links = [
                f'<a href="/files/{file}#sha256={digest}" data-dist-info-metadata="true">{file}</a>'
                for file, digest in zip(files, sums, strict=True)
            ]
            return self._respond("text/html", f"<html><body>{''.join(links)}</body></html>")
        versions = {
            version: {
                "name": "@birds/parrot",
                "version": version,
                "dist": {"tarball": f"{url}/parrot-{version}.tgz", "integrity": "sha512-" + "A" * 86 + "=="},
            }
            for version in ("1.0.0", "1.1.0")
        }
        packument = {"name": "@birds/parrot", "dist-tags": {"latest": "1.1.0"}, "versions": versions}
        return self._respond("application/json", json.dumps(packument))

    def _respond(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    variables = {"npm_config_registry": url, "npm_config_cache": str(tmp_path / "npm"), "npm_config_audit": "false"}
    variables |= {"UV_DEFAULT_INDEX": f"{url}/simple/", "UV_NO_CACHE": "1", "NO_PROXY": "127.0.0.1"}
    for name in ("UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_EXCLUDE_NEWER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serving(server):
        yield


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of agents, and the page beside it."""
    folder = tmp_path / "agents"
    for name in ("parrot", "parakeet"):
        (folder / name).mkdir(parents=True)
    (folder / "versions.toml").write_text(VERSIONS)
    (folder / "parrot" / "package.json").write_text(PACKAGE)
    (folder / "parakeet" / "requirements.in").write_text("parakeet==1.0.0\n")
    (folder / "package.json").write_text('{"name": "all", "private": true, "workspaces": ["parrot"]}')
    (tmp_path / "page.md").write_text(TABLE)
    return folder


def content(folder: Path) -> dict[Path, bytes]:
    files = [folder.parent / "page.md", *folder.rglob("*")]
    return {file: file.read_bytes() for file in files if file.is_file()}


@pytest.mark.usefixtures("registry")
def test_newer_versions_are_locked_everywhere_once_the_tests_have_passed(checkout: Path) -> None:
    tried: list[str] = []

    def passes(agents: Sequence[str]) -> bool:
        lock = json.loads((checkout / "package-lock.json").read_text())
        assert lock["packages"]["node_modules/@birds/parrot"]["version"] == "1.1.0"
        tried.extend(agents)
        return True

    report = renew(checkout, checkout.parent / "page.md", [], passes)
    assert tried == ["parrot", "parakeet"]
    assert report == ["parrot: @birds/parrot 1.0.0 -> 1.1.0", "parakeet: parakeet 1.0.0 -> 1.1.0"]
    assert (checkout / "versions.toml").read_text() == VERSIONS.replace("1.0.0", "1.1.0")
    assert (checkout.parent / "page.md").read_text() == TABLE.replace("1.0.0", "1.1.0")
    assert (checkout / "parrot" / "package.json").read_text() == PACKAGE.replace("1.0.0", "1.1.0")
    locked = (checkout / "parakeet" / "requirements.txt").read_text()
    assert locked.startswith("parakeet==1.1.0")
    assert "--hash=sha256:" in locked
    assert renew(checkout, checkout.parent / "page.md", [], passes) == []


@pytest.mark.usefixtures("registry")
def test_all_files_are_as_before_when_the_tests_fail(checkout: Path) -> None:
    before = content(checkout)
    with pytest.raises(RenewalError, match="all files are as before"):
        renew(checkout, checkout.parent / "page.md", ["parrot"], lambda _agents: False)
    assert content(checkout) == before

    def interrupted(_agents: Sequence[str]) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renew(checkout, checkout.parent / "page.md", ["parrot"], interrupted)
    assert content(checkout) == before


@pytest.mark.usefixtures("registry")
def test_a_new_agent_gets_a_package_and_a_row_below_the_last(checkout: Path) -> None:
    (checkout / "versions.toml").write_text(f'{VERSIONS}codex = {{ npm = "@birds/parrot", version = "1.0.0" }}\n')
    (checkout / "package.json").write_text('{"name": "all", "private": true, "workspaces": ["codex"]}')
    page = checkout.parent / "page.md"
    assert renew(checkout, page, ["codex"], lambda _agents: True) == ["codex: @birds/parrot 1.0.0 -> 1.1.0"]
    lock = "`container/worker/agents/package-lock.json`"
    row = f"| codex | `@birds/parrot` 1.1.0 | {lock} | openai | 1 vCPU, 2 GB |\n"
    assert page.read_text() == TABLE.replace("\nWhat", f"{row}\nWhat")
    package = json.loads((checkout / "codex" / "package.json").read_text())
    assert package == {"name": "outpost-agent-codex", "private": True, "dependencies": {"@birds/parrot": "1.1.0"}}


@pytest.mark.usefixtures("registry")
def test_an_agent_that_the_catalogue_lacks_is_refused_before_anything_changes(checkout: Path) -> None:
    (checkout / "versions.toml").write_text(f'{VERSIONS}owl = {{ npm = "@birds/parrot", version = "1.0.0" }}\n')
    before = content(checkout)
    with pytest.raises(RenewalError, match=r"owl: add it to the catalogue in outpost/domain/agents.py"):
        renew(checkout, checkout.parent / "page.md", ["owl"], lambda _agents: True)
    assert content(checkout) == before


def test_an_agent_without_a_program_is_named(checkout: Path) -> None:
    with pytest.raises(RenewalError, match=r"owl: not in .*; it has parrot, parakeet"):
        renew(checkout, checkout.parent / "page.md", ["owl"], lambda _agents: True)


def test_every_pin_is_that_of_the_versions_file() -> None:
    pins = read_pins(AGENTS)
    assert set(pins) == set(Agent) - {Agent.SHELL}
    lock = json.loads((AGENTS / "package-lock.json").read_text())["packages"]
    for agent, pin in pins.items():
        if pin.registry == "npm":
            package = json.loads((AGENTS / agent / "package.json").read_text())
            assert package["dependencies"] == {pin.package: pin.version}
            assert lock[f"node_modules/{pin.package}"]["version"] == pin.version
        else:
            assert (AGENTS / agent / "requirements.in").read_text() == f"{pin.package}=={pin.version}\n"
            locked = (AGENTS / agent / "requirements.txt").read_text()
            assert re.search(rf"^{pin.package}=={re.escape(pin.version)} ", locked, re.MULTILINE)
        assert f"| {agent} | `{pin.package}` {pin.version} |" in PAGE.read_text()
