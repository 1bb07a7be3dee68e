"""A forge on loopback that behaves like GitHub: git over HTTP, apps with their tokens, and pull requests."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from outpost.domain.ids import new_id
from tests.loopback import serving

TOKEN = "a-forge-token-of-the-platform"
"""May do everything."""
APP_ID = "Iv23liOutpost"
INSTALLATION = 4711
IDENTITY = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]


@dataclass(frozen=True)
class Grant:
    """What a token of the app reaches, and may do there."""

    repositories: list[str]
    permissions: dict[str, str]


@dataclass
class ForgeServer:
    """Repositories and pull requests, and the requests that were made."""

    folder: Path
    port: int = 0
    private: set[str] = field(default_factory=set)
    """Repositories that nobody reads without a token; all others are public."""
    installed: set[str] = field(default_factory=set)
    """Repositories on which the app is installed."""
    app_key: str = ""
    """The app's public key, PEM."""
    minted: dict[str, Grant] = field(default_factory=dict)
    """Token of the app -> what it is for."""
    moved: dict[str, str] = field(default_factory=dict)
    """Repository -> base URL that it is redirected to."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Repository -> its name since it was renamed or transferred."""
    authorized: list[str] = field(default_factory=list)
    """The requests of `seen` that came with a header `Authorization`."""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    broken: bool = False
    """Whether the API refuses whatever it is asked."""

    @property
    def git_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/git"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def create(self, name: str, files: dict[str, str]) -> str:
        """Create `owner/<name>` with one commit of `files` on main, and return the commit."""
        path = self.folder / "owner" / name
        path.mkdir(parents=True)
        self.git(name, "init", "--quiet", "--initial-branch=main")
        for file, content in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_text(content)
        self.git(name, "add", "--all")
        self.git(name, "commit", "--quiet", "--message", "begin")
        return self.git(name, "rev-parse", "main")

    def may(self, token: str | None, repository: str, permission: str, level: str) -> bool:
        """Whether the token's bearer may; `write` includes `read`."""
        if token == TOKEN:
            return True
        grant = self.minted.get(token or "")
        if grant is None or repository not in grant.repositories:
            return False
        return grant.permissions.get(permission) in (level, "write")

    def git(self, name: str, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder / "owner" / name), *IDENTITY, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class _Server(ThreadingHTTPServer):
    forge: ForgeServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _serve(self) -> None:
        request = f"{self.command} {self.path}"
        self.server.forge.seen.append(request)
        if self.headers.get("Authorization"):
            self.server.forge.authorized.append(request)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/git/"):
            self._git(body)
        else:
            self._api(body)

    do_GET = do_POST = _serve  # noqa: N815 - http.server's names

    def _git(self, body: bytes) -> None:
        url, forge = urlsplit(self.path.removeprefix("/git")), self.server.forge
        repository = "/".join(url.path.split("/")[1:3])
        if repository in forge.moved:
            self._respond(301, b"", {"Location": f"{forge.moved[repository]}{url.path}?{url.query}"})
            return
        if repository in forge.renamed:
            renamed = url._replace(path=url.path.replace(repository, forge.renamed[repository], 1))
            self._respond(301, b"", {"Location": f"{forge.git_url}{renamed.geturl()}"})
            return
        level = "write" if "git-receive-pack" in self.path else "read"
        known = forge.may(self._password(), repository, "contents", level)
        if not known and (level == "write" or repository in forge.private):
            # As GitHub does: 401 without credentials, 404 with some that have no right.
            self._respond(404 if self._password() else 401, b"", {"WWW-Authenticate": 'Basic realm="forge"'})
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.forge.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
            **({"REMOTE_USER": "platform"} if known else {}),
        }
        command = ["git", "http-backend"]
        done = subprocess.run(command, input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self._respond(int(headers.pop("Status", "200").split()[0]), content, headers)

    def _password(self) -> str | None:
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return None
        name, _, password = base64.b64decode(credentials).decode().partition(":")
        return password if name == "x-access-token" else None

    def _api(self, body: bytes) -> None:
        url = urlsplit(self.path.removeprefix("/api"))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.server.forge.broken:
            self._json(403, {"message": "Resource not accessible by integration"})
        elif url.path.endswith(("/installation", "/access_tokens")):
            self._app(url.path, token, body)
        elif not self.server.forge.may(token, "/".join(url.path.split("/")[2:4]), "pull_requests", "write"):
            self._json(401, {"message": "Bad credentials"})
        elif self.command == "GET":
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            found = [
                p
                for p in self.server.forge.pulls
                if asked["head"].endswith(f":{p['head']}") and asked["base"] == p["base"]
            ]
            self._json(200, found)
        else:
            self._open(url.path, json.loads(body))

    def _app(self, path: str, proof: str, body: bytes) -> None:
        """Serve the app itself: https://docs.github.com/en/rest/apps."""
        forge = self.server.forge
        try:
            jwt.decode(proof, forge.app_key, algorithms=["RS256"], issuer=APP_ID, options={"require": ["exp", "iat"]})
        except jwt.InvalidTokenError as error:
            self._json(401, {"message": f"A JSON web token could not be decoded: {error}"})
            return
        if path.endswith("/installation"):
            self._installation(path.removesuffix("/installation"))
            return
        asked = json.loads(body)
        repositories = [f"owner/{name}" for name in asked.get("repositories", ())]
        repositories += [list(forge.renamed.values())[number] for number in asked.get("repository_ids", ())]
        if path != f"/app/installations/{INSTALLATION}/access_tokens" or not forge.installed.issuperset(repositories):
            self._json(422, {"message": "There is at least one repository that does not exist or is not accessible"})
            return
        token = f"ghs_{new_id()}{new_id()}"
        forge.minted[token] = Grant(repositories, asked["permissions"])
        self._json(201, {"token": token, "permissions": asked["permissions"]})

    def _installation(self, path: str) -> None:
        """Serve "Get a repository installation for the authenticated app"; ids are indexes into `renamed`."""
        forge, repository = self.server.forge, path.removeprefix("/repos/")
        if repository in forge.renamed:
            place = f"{forge.api_url}/repositories/{list(forge.renamed).index(repository)}/installation"
            self._respond(301, b'{"message": "Moved Permanently"}', {"Location": place})
            return
        if path.startswith("/repositories/"):
            repository = list(forge.renamed.values())[int(path.removeprefix("/repositories/"))]
        found = {"id": INSTALLATION, "account": {"login": repository.partition("/")[0]}}
        self._json(*((200, found) if repository in forge.installed else (404, {"message": "Not Found"})))

    def _open(self, path: str, asked: dict[str, Any]) -> None:
        if any((p["head"], p["base"]) == (asked["head"], asked["base"]) for p in self.server.forge.pulls):
            message = f"A pull request already exists for owner:{asked['head']}."
            self._json(422, {"message": "Validation Failed", "errors": [{"message": message}]})
            return
        number = len(self.server.forge.pulls) + 1
        self.server.forge.pulls.append(asked | {"html_url": f"https://forge.example{path}/{number}"})
        self._json(201, self.server.forge.pulls[-1])

    def _json(self, status: int, document: object) -> None:
        self._respond(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _respond(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serve_forge(folder: Path) -> Iterator[ForgeServer]:
    """Run a forge for as long as the block lasts."""
    forge = ForgeServer(folder)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.forge = forge
    forge.port = server.server_port
    with serving(server):
        yield forge


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with serve_forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge
