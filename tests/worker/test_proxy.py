"""The model proxy: an agent reaches its provider through it, and nothing else; the key stays on this side."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace

import pytest

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.providers import PROVIDERS
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from tests.worker.model_server import CACHED, INPUT, OUTPUT, ModelServer, model_server
from worker.model_proxy.access import ModelKey, ModelKeyError, model_access
from worker.model_proxy.meter import Meter
from worker.model_proxy.server import ModelProxy
from worker.model_proxy.upstream import ProviderKey

KEY = "the-real-key"
MESSAGE = {"model": "claude-opus-5-5", "stream": True, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server(KEY) as server:
        yield server


@dataclass
class Keys:
    """What Secrets Manager would return."""

    current: str = KEY
    reads: int = field(default=0)

    def read(self) -> str:
        self.reads += 1
        return self.current


MODELS = frozenset({"claude-opus-5-5", "gpt-6.1-sol", "gemini-3.8-flash", "deepseek-flash", "grok-4.7"})


@contextmanager
def serving(
    upstream: str, name: str = "anthropic", keys: Keys | None = None, first: str = KEY, budget: int | None = None
) -> Iterator[ModelProxy]:
    provider, read = PROVIDERS[name], (keys or Keys()).read
    key = ProviderKey(provider, first)
    with ModelProxy(provider, upstream, key, lambda: ProviderKey(provider, read()), Meter(budget), MODELS) as proxy:
        yield proxy


def ask(
    proxy: ModelProxy,
    path: str = "/v1/messages",
    body: object = MESSAGE,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.host, timeout=60)
    content = json.dumps(body).encode() if method == "POST" else None
    connection.request(method, path, content, {"x-api-key": proxy.token} if headers is None else headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def connected(proxy: ModelProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(proxy.host.rpartition(":")[2])), timeout=60)


CALLS: dict[str, tuple[str, object]] = {
    "anthropic": ("/v1/messages?beta=true", MESSAGE),
    "openai": ("/v1/responses", {"model": "gpt-6.1-sol", "stream": True, "input": []}),
    "google": ("/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse", {"contents": []}),
    "deepseek": ("/v1/chat/completions", {"model": "deepseek-flash", "stream": True, "messages": []}),
    "xai": ("/v1/responses", {"model": "grok-4.7", "stream": True, "input": []}),
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_tokens_are_counted_from_each_providers_response(provider: ModelServer, name: str) -> None:
    path, body = CALLS[name]
    with serving(provider.url, name) as proxy:
        status, content = ask(proxy, path, body)
    assert status == 200
    assert b"written" in content
    assert proxy.meter.tokens == Tokens(input=INPUT, cached=CACHED, output=OUTPUT)
    assert proxy.meter.calls == 1


def test_the_provider_gets_the_key_and_never_the_token(provider: ModelServer) -> None:
    with serving(provider.url) as proxy:
        ask(proxy, headers={"x-api-key": proxy.token, "anthropic-version": "2023-06-01", "Cookie": "session=1"})
        seen = provider.seen[-1]
    assert seen.headers["x-api-key"] == KEY
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert proxy.token not in str(seen)
    assert "cookie" not in seen.headers


def test_a_token_in_the_query_is_taken_out(provider: ModelServer) -> None:
    path, body = CALLS["google"]
    with serving(provider.url, "google") as proxy:
        assert ask(proxy, f"{path}&key={proxy.token}", body, headers={})[0] == 200
        assert provider.seen[-1].path == path


@pytest.mark.parametrize("token", ["", "another-runs-token", KEY])
def test_without_the_runs_token_nothing_reaches_the_provider(provider: ModelServer, token: str) -> None:
    before = len(provider.seen)
    with serving(provider.url) as proxy:
        status, content = ask(proxy, headers={"x-api-key": token})
    assert (status, len(provider.seen)) == (401, before)
    assert KEY.encode() not in content


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/organizations/api_keys"),
        ("POST", "/v1/files"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/complete"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1//messages"),
        ("POST", "/v1/%6dessages"),
        ("POST", "/v1/messages/../files"),
        ("POST", "/v1/messages/"),
        ("GET", "/v1/messages"),
        ("GET", "/"),
    ],
)
def test_other_calls_of_the_provider_are_refused(provider: ModelServer, method: str, path: str) -> None:
    before = len(provider.seen)
    with serving(provider.url) as proxy:
        assert ask(proxy, path, method=method)[0] == 404
    assert len(provider.seen) == before


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "https://example.org/v1/messages"])
def test_the_proxy_leads_to_no_other_host(provider: ModelServer, target: str) -> None:
    with serving(provider.url) as proxy:
        assert ask(proxy, target)[0] == 421
        assert ask(proxy, "/v1/messages", headers={"Host": "evil.example", "x-api-key": proxy.token})[0] == 421
        with connected(proxy) as raw:
            raw.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")
            assert b" 501 " in raw.recv(1024)


def test_the_proxy_listens_on_loopback_only(provider: ModelServer) -> None:
    with serving(provider.url) as proxy:
        assert proxy.url.startswith("http://127.0.0.1:")
        with socket.socket() as other:
            other.bind(("127.0.0.2", int(proxy.host.rpartition(":")[2])))  # free: it does not listen on all addresses


def test_a_rotated_key_is_used_without_a_redeploy(provider: ModelServer) -> None:
    keys = Keys()
    with serving(provider.url, keys=keys, first="the-key-before") as proxy:
        assert [ask(proxy)[0], ask(proxy)[0]] == [200, 200]
    assert keys.reads == 1
    assert proxy.meter.calls == 2


def test_a_key_that_the_provider_rejects_is_reported_once_and_not_tried_again(provider: ModelServer) -> None:
    keys = Keys(current="rejected")
    with serving(provider.url, keys=keys, first="rejected") as proxy:
        status, content = ask(proxy)
    assert status == 400  # a 401 would make CLIs try again for minutes
    assert b"anthropic rejects the key" in content
    assert (proxy.calls.succeeded, proxy.meter.calls) == (0, 0)
    failure = proxy.calls.last_failure
    assert failure is not None
    assert failure.error.code is ReasonCode.MODEL_KEY_UNUSABLE
    assert failure.error.message == "HTTP 401 authentication_error: invalid x-api-key"


def test_a_stream_arrives_as_it_is_sent(provider: ModelServer) -> None:
    with serving(provider.url) as proxy:
        direct = http.client.HTTPConnection(provider.url.removeprefix("http://"), timeout=60)
        direct.request("POST", "/v1/messages", json.dumps(MESSAGE), {"x-api-key": KEY})
        assert ask(proxy)[1] == direct.getresponse().read()
        direct.close()


@pytest.mark.parametrize(("stream", "kind"), [(True, "text/event-stream"), (False, "application/json")])
def test_a_response_keeps_its_type(provider: ModelServer, stream: bool, kind: str) -> None:
    path, body = CALLS["deepseek"]
    assert isinstance(body, dict)
    with serving(provider.url, "deepseek") as proxy, closing(http.client.HTTPConnection(proxy.host)) as connection:
        connection.request("POST", path, json.dumps(body | {"stream": stream}), {"x-api-key": proxy.token})
        response = connection.getresponse()
        assert response.headers["Content-Type"] == kind
        response.read()


def test_a_chunked_request_is_understood(provider: ModelServer) -> None:
    content = json.dumps(MESSAGE).encode()
    with serving(provider.url) as proxy:
        connection = http.client.HTTPConnection(proxy.host, timeout=60)
        connection.request(
            "POST", "/v1/messages", iter([content[:10], content[10:]]), {"x-api-key": proxy.token}, encode_chunked=True
        )
        assert connection.getresponse().status == 200
        connection.close()
    assert provider.seen[-1].body == MESSAGE


@pytest.mark.parametrize("size", [b"-5", b"0x5", b"1_0", b"", b"five", b"4000001"])
def test_a_chunk_without_a_length_is_refused(provider: ModelServer, size: bytes) -> None:
    with serving(provider.url) as proxy, connected(proxy) as raw:
        raw.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: %b\r\n" % proxy.host.encode())
        raw.sendall(b"x-api-key: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % (proxy.token.encode(), size))
        assert b" 413 " in raw.recv(1024).partition(b"\r\n")[0]


def test_a_compressed_request_is_refused_and_no_other_type_reaches_the_provider(provider: ModelServer) -> None:
    with serving(provider.url) as proxy:
        token = {"x-api-key": proxy.token}
        assert ask(proxy, headers=token | {"Content-Encoding": "gzip"})[0] == 415
        assert ask(proxy, headers=token | {"Content-Type": "application/x-protobuf"})[0] == 200
    assert provider.seen[-1].headers["content-type"] == "application/json"


def test_another_model_reaches_no_provider(provider: ModelServer) -> None:
    before = len(provider.seen)
    with serving(provider.url) as proxy:
        status, content = ask(proxy, body=MESSAGE | {"model": "claude-fable-5-2"})
    assert (status, json.loads(content)["error"]["type"]) == (404, "not_found_error")
    assert len(provider.seen) == before


@pytest.mark.parametrize("body", ["text", ["a", "list"]])
def test_a_body_that_is_no_object_is_refused(provider: ModelServer, body: object) -> None:
    with serving(provider.url) as proxy:
        assert ask(proxy, body=body)[0] == 400


def test_a_provider_out_of_reach_is_a_bad_gateway() -> None:
    with serving("http://127.0.0.1:1") as proxy:
        status, content = ask(proxy)
    assert (status, KEY.encode() in content) == (502, False)


def test_neither_key_nor_token_nor_text_is_logged(provider: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    path, body = CALLS["google"]
    with serving(provider.url, "google", first="the-key-before") as proxy:
        ask(proxy, f"{path}&key={proxy.token}", body, headers={})
        ask(proxy, "/elsewhere?key=" + proxy.token)
    content = "".join(capsys.readouterr())
    assert "model call" in content
    assert not [secret for secret in (KEY, "the-key-before", proxy.token, "written") if secret in content]


def access(agent: Agent, key: ModelKey | None) -> AbstractContextManager[object]:
    return model_access(agent, key, upstream=None, budget=None, models=MODELS)


def key(*, own: bool) -> ModelKey:
    return ModelKey(KEY, Keys().read, own=own)


def test_the_agent_is_given_a_token_in_place_of_the_key() -> None:
    with model_access(Agent.CLAUDE, key(own=True), upstream=None, budget=None, models=MODELS) as given:
        assert given.base_url is not None
        assert set(given.environment) == {"ANTHROPIC_API_KEY"}
        assert KEY not in given.environment.values()


def test_an_agent_without_any_key_is_refused_by_name() -> None:
    with (
        pytest.raises(ModelKeyError, match=r"no key of google.*GOOGLE_API_KEY or GEMINI_API_KEY"),
        access(Agent.GEMINI, None),
    ):
        pass


def test_a_cli_that_takes_no_base_url_runs_with_a_tenants_own_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(CATALOGUE[Agent.CLAUDE], takes_base_url=False)
    monkeypatch.setitem(CATALOGUE, Agent.CLAUDE, entry)
    with (
        pytest.raises(ModelKeyError, match="store a key of your own as secret ANTHROPIC_API_KEY"),
        access(Agent.CLAUDE, key(own=False)),
    ):
        pass
    with model_access(Agent.CLAUDE, key(own=True), upstream=None, budget=None, models=MODELS) as given:
        assert (given.environment, given.base_url) == ({"ANTHROPIC_API_KEY": KEY}, None)
