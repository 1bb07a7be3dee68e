"""A dispatch is read on the event loop as botocore would read it in a thread, whatever is the matter on the way."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from control_plane import dispatch_reader
from control_plane.dispatch_reader import DispatchReader
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.store.database import CLIENT_CONFIG, Database
from outpost.store.quick_calls import quick_session
from tests.contract.running import Api
from tests.loopback import Service, certificate, serving, serving_tls

pytestmark = pytest.mark.usefixtures("environment")

TRIES = 2
MakeReader = Callable[..., DispatchReader]
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def reader_of() -> MakeReader:
    """Makes a reader whose DynamoDB is at a URL."""

    def make(url: str, read_timeout: float = 10) -> DispatchReader:
        config = CLIENT_CONFIG.merge(Config(read_timeout=read_timeout, retries={"total_max_attempts": TRIES}))
        client = quick_session().client("dynamodb", config=config, endpoint_url=url)
        return DispatchReader(Database(client, "dispatches", "tenants", "workers", "workspaces"))

    return make


def read(reader: DispatchReader, *ids: str) -> list[Dispatch | None]:
    """Read dispatches one after the other."""

    async def all_of_them() -> list[Dispatch | None]:
        async with reader.open():
            return [await reader.get(id_) for id_ in ids]

    return asyncio.run(all_of_them())


def test_a_row_is_read_as_the_store_reads_it(api: Api, running: Dispatch) -> None:
    assert read(DispatchReader(api.database), running.id, new_id()) == [api.row(running.id), None]


def test_a_connection_is_kept_and_replaced_unnoticed(reader_of: MakeReader) -> None:
    with serving(Service()) as service:
        assert read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1", "2", "3") == [None] * 3
        assert service.connections == 1
    with serving(Service(NOTHING, b"")) as service:
        assert read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1", "2") == [None] * 2
        assert service.connections == 2


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ConnectionClosedError),
        (b"nonsense\r\n\r\n", ConnectionClosedError),
        (NOTHING[:20], ReadTimeoutError),
    ],
)
def test_what_is_no_whole_answer_is_tried_again_and_then_told(
    reader_of: MakeReader, answer: bytes, trouble: type[BotoCoreError]
) -> None:
    slow = trouble is ReadTimeoutError
    with serving(Service(*([answer] if slow else [answer, b""]) * TRIES)) as service:
        with pytest.raises(trouble):
            read(reader_of(f"http://127.0.0.1:{service.server_port}", read_timeout=0.05 if slow else 10), "1")
        assert service.connections == TRIES


def test_an_endpoint_that_nobody_serves_is_told(reader_of: MakeReader) -> None:
    with pytest.raises(EndpointConnectionError):
        read(reader_of("http://127.0.0.1:1"), "1")


def test_only_a_certificate_that_is_trusted_is_enough(
    reader_of: MakeReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = certificate(tmp_path, "127.0.0.1")
    with serving_tls(ours) as service:
        reader = reader_of(f"https://127.0.0.1:{service.server_port}")
        with pytest.raises(SSLError, match="certificate verify failed"):
            read(reader, "1")
        monkeypatch.setattr(dispatch_reader, "get_cert_path", lambda _: ours)
        assert read(reader, "1") == [None]


def test_credentials_are_renewed_in_a_thread_before_they_expire(api: Api) -> None:
    renewed: list[threading.Thread] = []

    def renew() -> dict[str, str]:
        renewed.append(threading.current_thread())
        expiry = now() + timedelta(hours=1)
        return {"access_key": "test", "secret_key": "test", "token": "new", "expiry_time": expiry.isoformat()}

    client = quick_session().client("dynamodb", config=CLIENT_CONFIG)
    soon = now() + timedelta(minutes=1)
    client.credentials = RefreshableCredentials("test", "test", "old", soon, renew, "test")  # type: ignore[attr-defined]
    reader = DispatchReader(Database(client, api.database.dispatches, "tenants", "workers", "workspaces"))
    assert read(reader, new_id(), new_id()) == [None, None]
    (thread,) = renewed
    assert thread is not threading.current_thread()


def test_without_credentials_nothing_is_sent(reader_of: MakeReader) -> None:
    with serving(Service()) as service:
        reader = reader_of(f"http://127.0.0.1:{service.server_port}")
        reader._client.credentials = None
        with pytest.raises(NoCredentialsError):
            read(reader, "1")
        assert service.connections == 0
