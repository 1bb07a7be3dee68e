"""A dispatch is read on the event loop as botocore would read it in a thread, whatever is the matter on the way."""

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from control_plane.dispatch_reader import DispatchReader
from outpost.aws import fast_client
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import fast_session
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.store.database import Database
from tests.contract.running import Api
from tests.loopback import Service, certificate, full_of_connections, serving, serving_tls

pytestmark = pytest.mark.usefixtures("environment")

TRIES = 2
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def reader_of(url: str, **times: float) -> DispatchReader:
    """Make a reader whose DynamoDB is at a URL."""
    config = CLIENT_CONFIG.merge(Config(**times, retries={"total_max_attempts": TRIES}))  # type: ignore[arg-type]
    client = fast_session().client("dynamodb", config=config, endpoint_url=url)
    return DispatchReader(Database(client, "dispatches", "tenants", "workers", "queues", "workspaces"))


def read(reader: DispatchReader, *ids: str) -> list[Dispatch | None]:
    """Read dispatches one after the other."""

    async def all_of_them() -> list[Dispatch | None]:
        async with reader.open():
            return [await reader.get(id_) for id_ in ids]

    return asyncio.run(all_of_them())


def test_a_row_is_read_as_the_store_reads_it(api: Api, running: Dispatch) -> None:
    assert read(DispatchReader(api.database), running.id, new_id()) == [api.row(running.id), None]


def test_a_connection_is_kept_and_replaced_unnoticed() -> None:
    with serving(Service()) as service:
        assert read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1", "2", "3") == [None] * 3
        assert service.connections == 1
    with serving(Service(NOTHING, b"")) as service:
        assert read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1", "2") == [None] * 2
        assert service.connections == 2


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\n\r\n{", ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", ConnectionClosedError),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n[]", ClientError),
        (b"nonsense\r\n\r\n", ConnectionClosedError),
        (NOTHING[:20], ReadTimeoutError),
    ],
)
def test_what_is_no_whole_response_is_retried_and_then_raised(response: bytes, error: type[Exception]) -> None:
    slow = error is ReadTimeoutError
    with serving(Service(*([response] if slow else [response, b""]) * TRIES)) as service:
        with pytest.raises(error):
            read(reader_of(f"http://127.0.0.1:{service.server_port}", read_timeout=0.05 if slow else 10), "1")
        assert service.connections == TRIES


def test_what_another_try_would_not_change_is_told_at_once() -> None:
    refusal = b'{"__type": "x#AccessDeniedException"}'
    response = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(refusal), refusal)
    with serving(Service(response)) as service:
        with pytest.raises(ClientError, match="AccessDenied"):
            read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1")
        assert len(service.asked) == 1


def test_a_read_is_consistent_and_asks_for_no_packed_answer() -> None:
    with serving(Service()) as service:
        read(reader_of(f"http://127.0.0.1:{service.server_port}"), "1")
    ((headers, body),) = service.asked
    assert json.loads(body)["ConsistentRead"] is True
    assert "accept-encoding" not in headers


def test_an_endpoint_that_takes_no_connection_is_given_up() -> None:
    with full_of_connections() as port, pytest.raises(ConnectTimeoutError):
        read(reader_of(f"http://127.0.0.1:{port}", connect_timeout=0.05), "1")


def test_an_endpoint_that_nobody_serves_is_told() -> None:
    with pytest.raises(EndpointConnectionError):
        read(reader_of("http://127.0.0.1:1"), "1")


def test_only_a_certificate_that_is_trusted_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = certificate(tmp_path, "127.0.0.1")
    with serving_tls(ours) as service:
        reader = reader_of(f"https://127.0.0.1:{service.server_port}")
        with pytest.raises(SSLError, match="certificate verify failed"):
            read(reader, "1")
        monkeypatch.setattr(fast_client, "get_cert_path", lambda _: ours)
        assert read(reader, "1") == [None]


def test_credentials_are_renewed_in_a_thread_before_they_expire() -> None:
    renewed: list[threading.Thread] = []

    def renew() -> dict[str, str]:
        renewed.append(threading.current_thread())
        expiry = now() + timedelta(hours=1)
        return {"access_key": "test", "secret_key": "test", "token": "new", "expiry_time": expiry.isoformat()}

    with serving(Service()) as service:
        reader = reader_of(f"http://127.0.0.1:{service.server_port}")
        soon = now() + timedelta(minutes=1)
        reader._client.credentials = RefreshableCredentials("test", "test", "old", soon, renew, "test")
        assert read(reader, "1", "2") == [None, None]
    (thread,) = renewed
    assert thread is not threading.current_thread()
    assert {headers["x-amz-security-token"] for headers, _ in service.asked} == {"new"}


def test_without_credentials_nothing_is_sent() -> None:
    with serving(Service()) as service:
        reader = reader_of(f"http://127.0.0.1:{service.server_port}")
        reader._client.credentials = None
        with pytest.raises(NoCredentialsError):
            read(reader, "1")
        assert service.connections == 0
