"""What the client makes of answers that are not what it hoped for."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from outpost_client import ApiError, Client
from outpost_client.errors import NOT_OUTPOST, UNREACHABLE, Detail
from outpost_client.models import Artifact

PATCH = Artifact(
    name="changes.patch", type="patch", size=5, url="https://api.example.com/artifacts/1/changes.patch?token=t"
)
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> Client:
    return Client("https://api.example.com/", "otp_secret", transport=httpx.MockTransport(handler))


def test_a_refusal_becomes_the_error_with_everything_the_api_said() -> None:
    body = {
        "success": False,
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "1 field",
            "details": [{"field": "agent", "message": "unknown"}],
        },
        "meta": {"requestId": "r-1", "timestamp": "2026-11-22T12:00:00Z"},
    }
    with (
        client(lambda _: httpx.Response(400, json=body, headers={"X-Request-ID": "r-1"})) as session,
        pytest.raises(ApiError, match="1 field") as refused,
    ):
        session.status("x")
    assert refused.value.code == "VALIDATION_ERROR"
    assert refused.value.details == (Detail("agent", "unknown"),)
    assert refused.value.request_id == "r-1"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="<html>No such page</html>"),
        httpx.Response(200, text="<html>Hello</html>"),
        httpx.Response(200, json={"data": {"id": 1}, "meta": {}}),
    ],
)
def test_an_answer_of_something_else_is_told_apart_from_a_refusal(answer: httpx.Response) -> None:
    with client(lambda _: answer) as session, pytest.raises(ApiError, match=str(answer.status_code)) as refused:
        session.status("x")
    assert refused.value.code == NOT_OUTPOST


def test_no_answer_names_the_service() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with (
        client(refuse) as session,
        pytest.raises(ApiError, match=r"https://api\.example\.com does not respond") as refused,
    ):
        session.dispatches({})
    assert refused.value.code == UNREACHABLE


def test_a_download_follows_the_redirect_without_the_key(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "api.example.com":
            return httpx.Response(307, headers={"Location": "https://bucket.example.com/changes.patch"})
        return httpx.Response(200, content=b"patch")

    with client(redirect) as session:
        session.download(PATCH, tmp_path / "changes.patch")
    assert (tmp_path / "changes.patch").read_bytes() == b"patch"
    assert [request.url.host for request in asked] == ["api.example.com", "bucket.example.com"]
    assert not any("otp_secret" in str(request.headers) for request in asked)


def test_a_refused_download_leaves_no_file(tmp_path: Path) -> None:
    body = {"error": {"code": "NOT_FOUND", "message": "There is no artifact of this name."}}
    with client(lambda _: httpx.Response(404, json=body)) as session, pytest.raises(ApiError, match="no artifact"):
        session.download(PATCH, tmp_path / "changes.patch")
    assert list(tmp_path.iterdir()) == []
