"""Requests of any size and shape: refused as the API refuses, by the server that production runs."""

import json
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from control_plane.middleware import MAX_HEAD_BYTES, MAX_URL_BYTES
from outpost.domain.ids import is_id
from tests.contract.running import Api, fields, refused

Response = tuple[int, dict[str, str], dict[str, Any]]


def send(api: Api, parts: Iterable[bytes]) -> Response:
    """Send bytes as they are and return the answer; the service may close the connection before all are sent."""
    place = urlsplit(api.url)
    assert place.hostname is not None
    assert place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=120) as connection:
        for part in parts:
            connection.sendall(part)
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            lines = iter(stream.readline, b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (x.decode().partition(":") for x in lines)}
            return status, headers, json.loads(stream.read(int(headers["content-length"])))


def assert_refused(response: Response, status: int, code: str) -> None:
    found, headers, body = response
    assert (found, body["success"], body["error"]["code"]) == (status, False, code)
    assert is_id(headers["x-request-id"])
    assert body["meta"]["requestId"] == headers["x-request-id"]
    assert body["meta"]["timestamp"].endswith("Z")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("count", [1, 80], ids=["one", "many"])
def test_headers_over_the_limit_are_refused(client: httpx.Client, count: int) -> None:
    headers = {f"X-Note-{number}": "x" * (MAX_HEAD_BYTES // count) for number in range(count)}
    refused(client.get("/dispatch", headers=headers), 431, "HEADERS_TOO_LARGE")
    assert client.get("/dispatch", headers={"X-Note": "x" * (MAX_HEAD_BYTES // 2)}).status_code == 200


def test_headers_that_never_end_are_refused_when_they_pass_the_limit(api: Api) -> None:
    dribble = [b"GET /dispatch HTTP/1.1\r\nHost: x\r\n", *(b"X-Note: " + b"x" * 8_000 + b"\r\n" for _ in range(9))]
    assert_refused(send(api, dribble), 431, "HEADERS_TOO_LARGE")
    assert_refused(
        send(api, [b"GET /dispatch HTTP/1.1\r\nX-Note: ", *(b"x" * 8_000 for _ in range(9))]), 431, "HEADERS_TOO_LARGE"
    )


@pytest.mark.parametrize("length", [MAX_URL_BYTES, 3 * MAX_URL_BYTES])
def test_an_overlong_query_is_named(client: httpx.Client, length: int) -> None:
    assert fields(refused(client.get(f"/dispatch?repo={'x' * length}"), 400, "VALIDATION_ERROR")) == {"query"}


def test_an_overlong_path_is_refused(client: httpx.Client) -> None:
    refused(client.get(f"/dispatch/{'x' * MAX_URL_BYTES}"), 400, "VALIDATION_ERROR")


def test_an_address_longer_than_a_parser_takes_is_refused(api: Api) -> None:
    assert_refused(
        send(api, [b"GET /dispatch?repo=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"]), 431, "HEADERS_TOO_LARGE"
    )


@pytest.mark.parametrize(
    "bytes_",
    [
        b"nonsense\r\n\r\n",
        b"GET /dispatch HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /dispatch HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"POST /dispatch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["nonsense", "no-colon", "negative-length", "broken-address", "broken-chunk", "tls"],
)
def test_what_is_not_http_is_refused_in_the_apis_form(api: Api, bytes_: bytes) -> None:
    assert_refused(send(api, [bytes_]), 400, "VALIDATION_ERROR")


def test_a_refused_head_costs_its_own_connection_only(api: Api, client: httpx.Client) -> None:
    assert client.get("/dispatch").status_code == 200
    assert_refused(send(api, [b"nonsense\r\n\r\n"]), 400, "VALIDATION_ERROR")
    assert client.get("/dispatch").status_code == 200
