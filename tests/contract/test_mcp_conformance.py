"""The official conformance suite of the Model Context Protocol, against the service.

Its other scenarios call tools, resources and prompts of its own example server.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import urllib3

from outpost.domain.tenants import Scope, Tenant
from outpost_local.settings import REPOSITORY_ROOT
from tests.contract.running import Api

LOCK = Path(__file__).with_name("mcp_conformance")
SCENARIOS = ("server-initialize", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection")

pytestmark = pytest.mark.full


@pytest.fixture(scope="session")
def suite() -> Path:
    """The suite's command, installed once for a checkout as its lock file says."""
    locked = hashlib.sha256((LOCK / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = REPOSITORY_ROOT / "build" / "mcp-conformance" / locked
    command = folder / "node_modules" / ".bin" / "conformance"
    if not command.exists():
        shutil.copytree(LOCK, folder, dirs_exist_ok=True)
        npm = str(REPOSITORY_ROOT / ".tools" / "bin" / "npm")
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, env=_path(), check=True)
    return command


@pytest.fixture
def url(api: Api, tenant: Tenant) -> Iterator[str]:
    """The service's MCP endpoint for a client that sends no key: it is added on the way."""
    key = api.key(tenant, *(scope for scope in Scope if scope is not Scope.ADMIN))
    server = _AddsKey(("127.0.0.1", 0), _Handler)
    server.service, server.key = api.url, key
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mcp"
    server.shutdown()
    server.server_close()


class _AddsKey(ThreadingHTTPServer):
    daemon_threads = True
    service: str
    key: str


class _Handler(BaseHTTPRequestHandler):
    server: _AddsKey

    def _pass(self) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        headers["Authorization"] = f"Bearer {self.server.key}"
        own, service = f":{self.server.server_port}", f":{urlsplit(self.server.service).port}"
        for name in ("host", "origin"):
            if name in self.headers:
                headers = {each: value for each, value in headers.items() if each.lower() != name}
                headers[name] = self.headers[name].replace(own, service)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        response = urllib3.request(
            self.command, self.server.service + self.path, body=body, headers=headers, retries=False
        )
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(response.data)))
        self.end_headers()
        self.wfile.write(response.data)

    do_GET = do_POST = do_DELETE = do_OPTIONS = _pass  # noqa: N815 - the base class calls them so

    def log_message(self, *_: object) -> None:
        """Keep standard error for failures."""


def _path() -> dict[str, str]:
    return os.environ | {"PATH": os.pathsep.join([str(REPOSITORY_ROOT / ".tools" / "bin"), os.environ["PATH"]])}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_of_the_conformance_suite_passes(suite: Path, url: str, scenario: str, tmp_path: Path) -> None:
    argv = [str(suite), "server", "--url", url, "--scenario", scenario]
    ended = subprocess.run(argv, cwd=tmp_path, env=_path(), capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 failed" in ended.stdout, ended.stdout
