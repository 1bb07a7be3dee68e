"""A forge that responds badly, or a secret store that does not respond, is reported and not waited for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from botocore.exceptions import ReadTimeoutError

from broker.forge import Forge
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Spec
from outpost.domain.ids import now
from outpost.domain.tenants import Tenant
from outpost.fleet.forge import ForgeApi, ForgeError
from outpost.names import Env


@contextmanager
def serve(answer: bytes | None) -> Iterator[tuple[str, list[socket.socket]]]:
    """Answer each connection with these bytes, or never; yields the URL and the connections so far."""
    taken: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            taken.append(connection)
            if answer is not None:
                connection.recv(65_536)
                connection.sendall(answer)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


@pytest.mark.parametrize(
    ("body", "length", "message"),
    [
        (b'{"message": "No", "errors": [{"message": "too many"}, "x"]}', None, "No; too many"),
        (b'{"message": "No", "errors": null}', None, "No"),
        (b'{"message": 5}', None, "Unlucky"),
        (b"null", None, "Unlucky"),
        (b"<html>", None, "Unlucky"),
        (b'{"message": "cut sh', 1_000, "Unlucky"),
    ],
)
def test_a_refusal_is_reported_however_it_is_written(body: bytes, length: int | None, message: str) -> None:
    head = f"HTTP/1.1 422 Unlucky\r\nContent-Length: {length or len(body)}\r\n\r\n"
    with serve(head.encode() + body) as (url, _), pytest.raises(ForgeError) as refusal:
        ForgeApi(url, "a-token", 5.0).call("GET", "/repos/owner/name/installation")
    assert str(refusal.value) == f"the forge returned 422: {message}"
    assert refusal.value.status == 422


@pytest.mark.full
def test_a_secret_that_cannot_be_read_is_asked_for_twice_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv(Env.GIT_BASE_URL, "https://github.com")
    monkeypatch.delenv(Env.FORGE_APP_KEY_SECRET, raising=False)
    monkeypatch.setenv(Env.FORGE_TOKEN_SECRET, "arn:aws:secretsmanager:us-east-1:111111111111:secret:forge-abcdef")
    tenant = Tenant(id="acme", name="Acme", repositories=("owner/*",), created_at=now())
    with serve(None) as (url, taken):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        forge = Forge.from_environment()
        assert forge is not None
        with pytest.raises(ReadTimeoutError, match="Read timeout"):
            forge.token(Spec(agent=Agent.SHELL, repo="owner/name", timeout_seconds=60), tenant)
    assert len(taken) == 2
