"""Connections on loopback: kept, replaced, given up, and trusted only when there is reason to."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from outpost.domain.ids import now
from outpost.store.connections import Connections

ANSWER = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId:  7 \r\nContent-Length: 4\r\n\r\n{  }"


class Service(ThreadingHTTPServer):
    """Gives these answers in turn, and the body itself when there are none left; after an empty one it hangs up."""

    daemon_threads = True

    def __init__(self, *answers: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.connections = 0
        self.hung_up = Event()

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: object) -> None:
        super().shutdown_request(request)  # type: ignore[arg-type]
        self.hung_up.set()

    def handle_error(self, *_: object) -> None:
        """Keep standard error for failures: that a client hangs up is what is tested."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        echo = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self.wfile.write(self.server.answers.pop(0) if self.server.answers else echo)
        self.close_connection = self.server.answers[:1] == [b""]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    thread = Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
        thread.join()


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
        service.hung_up.wait()
        service.answers.clear()
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
        service.answers.clear()
        assert connections.post({}, b"2").body == b"2"
        assert service.connections == 2


def test_a_service_that_says_nothing_is_given_up() -> None:
    with serving(Service(ANSWER[:20])) as service, pytest.raises(ReadTimeoutError):
        connect(service, read_timeout=0.05).post({}, b"1")


def test_an_endpoint_that_nobody_serves_is_told() -> None:
    with pytest.raises(EndpointConnectionError):
        Connections("http://127.0.0.1:1", 10, 10, "").post({}, b"1")


def test_an_endpoint_that_takes_no_connection_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):  # more than the queue of those whom nobody has let in
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        with pytest.raises(ConnectTimeoutError):
            Connections(f"http://127.0.0.1:{server.getsockname()[1]}", 0.05, 10, "").post({}, b"1")


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], str]:
    """Makes a file with a certificate for an address, and its key."""

    def make(address: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=1))
            .not_valid_after(now() + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
            .sign(key, SHA256())
        )
        file = tmp_path / f"{address}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + made.public_bytes(Encoding.PEM))
        return str(file)

    return make


@contextmanager
def serving_tls(certificate: str) -> Iterator[Service]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    service = Service()
    service.socket = context.wrap_socket(service.socket, server_side=True)
    with serving(service):
        yield service


def test_a_certificate_that_is_trusted_is_enough(certificate: Callable[[str], str]) -> None:
    file = certificate("127.0.0.1")
    with serving_tls(file) as service:
        connections = connect(service, "https", trusted=file)
        assert [connections.post({}, body).body for body in (b"1", b"2")] == [b"1", b"2"]
        assert service.connections == 1


def test_a_certificate_of_another_name_or_issuer_is_refused(certificate: Callable[[str], str]) -> None:
    ours, elsewhere = certificate("127.0.0.1"), certificate("127.0.0.2")
    for shown, trusted in ((ours, elsewhere), (elsewhere, elsewhere)):
        with serving_tls(shown) as service, pytest.raises(SSLError, match="certificate verify failed"):
            connect(service, "https", trusted=trusted).post({}, b"1")
