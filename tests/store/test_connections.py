"""Connections on loopback: kept, replaced, given up, and trusted only when there is reason to."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from outpost.aws.connections import Connections
from tests.loopback import Service, certificate, full_of_connections, serving, serving_tls

ANSWER = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId:  7 \r\nContent-Length: 4\r\n\r\n{  }"


def connect(service: Service, scheme: str = "http", trusted: str = "", read_timeout: float = 10) -> Connections:
    return Connections(f"{scheme}://127.0.0.1:{service.server_port}", 10, read_timeout, trusted)


def test_a_connection_is_kept_for_the_next_call() -> None:
    with serving(Service(ANSWER)) as service:
        connections = connect(service)
        answer = connections.post({"host": "localhost"}, b"1")
        assert (answer.status, answer.headers["x-amzn-requestid"], answer.body) == (200, "7", b"{  }")
        assert connections.post({}, b"2").body == b"2"
        assert service.connections == 1


def test_a_connection_that_the_service_has_given_up_is_replaced_unnoticed() -> None:
    with serving(Service(ANSWER, b"")) as service:
        connections = connect(service)
        connections.post({}, b"1")
        service.closed.wait()
        assert connections.post({}, b"2").body == b"2"
        assert service.connections == 2


def test_threads_do_not_get_each_others_answers() -> None:
    with serving(Service()) as service, ThreadPoolExecutor(8) as pool:
        connections = connect(service)
        asked = [str(number).encode() for number in range(400)]
        assert list(pool.map(lambda body: connections.post({}, body).body, asked)) == asked
        assert service.connections <= 8


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_a_lost_connection_and_the_next_call_has_another(answer: bytes) -> None:
    with serving(Service(answer, b"")) as service:
        connections = connect(service)
        with pytest.raises(ConnectionClosedError):
            connections.post({}, b"1")
        assert connections.post({}, b"2").body == b"2"
        assert service.connections == 2


def test_a_service_that_says_nothing_is_given_up() -> None:
    with serving(Service(ANSWER[:20])) as service, pytest.raises(ReadTimeoutError):
        connect(service, read_timeout=0.05).post({}, b"1")


def test_an_endpoint_that_nobody_serves_is_told() -> None:
    with pytest.raises(EndpointConnectionError):
        Connections("http://127.0.0.1:1", 10, 10, "").post({}, b"1")


def test_an_endpoint_that_takes_no_connection_is_given_up() -> None:
    with full_of_connections() as port, pytest.raises(ConnectTimeoutError):
        Connections(f"http://127.0.0.1:{port}", 0.05, 10, "").post({}, b"1")


def test_a_certificate_that_is_trusted_is_enough(tmp_path: Path) -> None:
    file = certificate(tmp_path, "127.0.0.1")
    with serving_tls(file) as service:
        connections = connect(service, "https", trusted=file)
        assert [connections.post({}, body).body for body in (b"1", b"2")] == [b"1", b"2"]
        assert service.connections == 1


def test_a_certificate_of_another_name_or_issuer_is_refused(tmp_path: Path) -> None:
    ours, elsewhere = certificate(tmp_path, "127.0.0.1"), certificate(tmp_path, "127.0.0.2")
    for shown, trusted in ((ours, elsewhere), (elsewhere, elsewhere)):
        with serving_tls(shown) as service, pytest.raises(SSLError, match="certificate verify failed"):
            connect(service, "https", trusted=trusted).post({}, b"1")
