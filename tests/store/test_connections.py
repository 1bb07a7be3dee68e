"""A fast client's connections on loopback: kept, replaced, given up, and trusted only when there is reason to."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from outpost.aws import fast_client
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import fast_session
from tests.conftest import CREDENTIALS
from tests.loopback import Service, certificate, full_of_connections, serving, serving_tls

ANSWER = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: 7\r\nContent-Length: 4\r\n\r\n{  }"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def connect(url: str, **times: float) -> Any:  # noqa: ANN401 - operations made at run time
    """Make a client that tries once."""
    config = CLIENT_CONFIG.merge(Config(**times, retries={"total_max_attempts": 1}))  # type: ignore[arg-type]
    return fast_session().client("dynamodb", config=config, endpoint_url=url)


def client_of(service: Service, **times: float) -> Any:  # noqa: ANN401
    return connect(f"http://127.0.0.1:{service.server_port}", **times)


def ask(client: Any, text: str) -> dict[str, Any]:  # noqa: ANN401
    """Send a request whose response is its own body, unless the service has another."""
    response: dict[str, Any] = client.get_item(TableName="any", Key={"pk": {"S": text}})
    return response


def echo(client: Any, text: str) -> str:  # noqa: ANN401
    return str(ask(client, text)["Key"]["pk"]["S"])


def test_a_connection_is_kept_for_the_next_call() -> None:
    with serving(Service(ANSWER)) as service:
        client = client_of(service)
        metadata = ask(client, "1")["ResponseMetadata"]
        assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["x-amzn-requestid"]) == (200, "7")
        assert echo(client, "2") == "2"
        assert service.connections == 1
    (headers, body), _ = service.asked
    assert json.loads(body) == {"TableName": "any", "Key": {"pk": {"S": "1"}}}
    assert headers["host"] == f"127.0.0.1:{service.server_port}"


def test_a_connection_that_the_service_has_given_up_is_replaced_unnoticed() -> None:
    with serving(Service(ANSWER, b"")) as service:
        client = client_of(service)
        ask(client, "1")
        service.closed.wait()
        assert echo(client, "2") == "2"
        assert service.connections == 2


def test_threads_do_not_get_each_others_answers() -> None:
    with serving(Service()) as service, ThreadPoolExecutor(8) as pool:
        client = client_of(service)
        asked = [str(number) for number in range(400)]
        assert list(pool.map(lambda text: echo(client, text), asked)) == asked
        assert service.connections <= 8


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_a_lost_connection_and_the_next_call_has_another(response: bytes) -> None:
    with serving(Service(response, b"")) as service:
        client = client_of(service)
        with pytest.raises(ConnectionClosedError):
            ask(client, "1")
        assert echo(client, "2") == "2"
        assert service.connections == 2


def test_a_service_that_says_nothing_is_given_up() -> None:
    with serving(Service(ANSWER[:20])) as service, pytest.raises(ReadTimeoutError):
        ask(client_of(service, read_timeout=0.05), "1")


def test_an_endpoint_that_nobody_serves_is_told() -> None:
    with pytest.raises(EndpointConnectionError):
        ask(connect("http://127.0.0.1:1"), "1")


def test_an_endpoint_that_takes_no_connection_is_given_up() -> None:
    with full_of_connections() as port, pytest.raises(ConnectTimeoutError):
        ask(connect(f"http://127.0.0.1:{port}", connect_timeout=0.05), "1")


def test_a_certificate_that_is_trusted_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setattr(fast_client, "get_cert_path", lambda _: file)
    with serving_tls(file) as service:
        client = connect(f"https://127.0.0.1:{service.server_port}")
        assert [echo(client, text) for text in ("1", "2")] == ["1", "2"]
        assert service.connections == 1


def test_a_certificate_of_another_name_or_issuer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, elsewhere = certificate(tmp_path, "127.0.0.1"), certificate(tmp_path, "127.0.0.2")
    for shown, trusted in ((ours, elsewhere), (elsewhere, elsewhere)):
        monkeypatch.setattr(fast_client, "get_cert_path", lambda _, file=trusted: file)
        with (
            serving_tls(shown) as service,
            pytest.raises(SSLError, match=r"certificate verify failed|doesn't match '127"),
        ):
            ask(connect(f"https://127.0.0.1:{service.server_port}"), "1")
