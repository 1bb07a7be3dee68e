"""Model calls to Bedrock: the proxy signs them with the attempt's credentials, and nobody has a key."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import pytest

from outpost.domain.agents import Agent
from outpost.domain.ids import now
from outpost.domain.models import find_model
from outpost.domain.protocol import Credentials
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from tests.worker.bedrock_server import REGION, bedrock_server
from tests.worker.model_server import CACHED, INPUT, OUTPUT, ModelServer
from worker.model_proxy.access import ModelAccess, model_access
from worker.model_proxy.upstream import Signer

MODELS = {Agent.CLAUDE: "eu.anthropic.claude-opus-5-5", Agent.CODEX: "global.openai.gpt-6.1-sol"}
PATHS = {Agent.CLAUDE: "/v1/messages?beta=true", Agent.CODEX: "/v1/responses"}
SERVED = {Agent.CLAUDE: "/anthropic/v1/messages?beta=true", Agent.CODEX: "/openai/v1/responses"}


def credentials(name: str) -> Credentials:
    return Credentials(
        access_key_id=f"ASIA{name}",
        secret_access_key=f"secret-{name}",
        session_token=f"token-{name}/+=",
        expires_at=now() + timedelta(hours=1),
    )


KNOWN, NEWER, UNKNOWN = credentials("KNOWN"), credentials("NEWER"), credentials("UNKNOWN")


@pytest.fixture(scope="module")
def bedrock() -> Iterator[ModelServer]:
    with bedrock_server({each.access_key_id: (each, None) for each in (KNOWN, NEWER)}) as server:
        yield server


@contextmanager
def served(
    bedrock: ModelServer, agent: Agent = Agent.CLAUDE, signer: Signer | None = None, budget: int | None = None
) -> Iterator[ModelAccess]:
    signer = signer or Signer(REGION, lambda: KNOWN)
    with model_access(agent, signer, upstream=bedrock.url, budget=budget, models=[MODELS[agent]]) as access:
        yield access


def call(
    access: ModelAccess,
    agent: Agent = Agent.CLAUDE,
    path: str | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: object,
) -> tuple[int, str]:
    (token,) = access.environment.values()
    body = {"model": MODELS[agent], "stream": True, "messages": [], **fields}
    connection = http.client.HTTPConnection((access.base_url or "").removeprefix("http://"), timeout=60)
    shown = {"Authorization": f"Bearer {token}", **(headers or {})}
    connection.request("POST", path or PATHS[agent], json.dumps(body), shown)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, content


@pytest.mark.parametrize("agent", MODELS)
def test_a_signed_call_is_served_and_its_tokens_are_counted(bedrock: ModelServer, agent: Agent) -> None:
    with served(bedrock, agent) as access:
        assert call(access, agent)[0] == 200
        assert access.meter.tokens == Tokens(input=INPUT, cached=CACHED, output=OUTPUT)
        model = find_model(MODELS[agent])
        assert model is not None
        assert (model.provider, access.meter.cost) == ("bedrock", model.cost_of(access.meter.tokens))
        seen, (token,) = bedrock.seen[-1], access.environment.values()
    assert seen.path == SERVED[agent]
    assert token not in str(seen)
    assert KNOWN.secret_access_key not in str(seen)


@pytest.mark.parametrize(
    ("signer", "fault"),
    [
        (Signer(REGION, lambda: UNKNOWN), "security token"),
        (Signer("us-east-1", lambda: KNOWN), "scoped to eu-west-1"),
        (Signer(REGION, lambda: KNOWN.model_copy(update={"secret_access_key": "guessed"})), "does not match"),
        (Signer(REGION, lambda: KNOWN.model_copy(update={"session_token": "another"})), "security token"),
    ],
)
def test_bedrock_refuses_what_is_not_signed_as_it_must_be(bedrock: ModelServer, signer: Signer, fault: str) -> None:
    before = len(bedrock.seen)
    with served(bedrock, signer=signer) as access:
        status, content = call(access)
        failure = access.calls and access.calls.last_failure
    assert (status, len(bedrock.seen)) == (400, before)  # Claude Code repeats a 403 for minutes
    assert fault in content
    assert failure
    assert failure.error.code is ReasonCode.MODEL_KEY_UNUSABLE


def test_new_credentials_of_the_attempt_sign_the_next_call(bedrock: ModelServer) -> None:
    held = [KNOWN]
    with served(bedrock, signer=Signer(REGION, lambda: held[-1])) as access:
        call(access)
        held.append(NEWER)
        assert call(access)[0] == 200
    assert "ASIANEWER/" in bedrock.seen[-1].headers["authorization"]


def test_headers_of_aws_are_not_the_agents_to_choose(bedrock: ModelServer) -> None:
    chosen = {"X-Amz-Security-Token": "mine", "X-Amzn-Bedrock-Service-Tier": "priority", "X-Amz-Target": "Other"}
    with served(bedrock) as access:
        assert call(access, headers=chosen)[0] == 200
    assert not {name for name in bedrock.seen[-1].headers if name.startswith("x-amzn") or name == "x-amz-target"}


@pytest.mark.parametrize(
    "path",
    [
        f"/model/{MODELS[Agent.CLAUDE]}/invoke",
        f"/model/{MODELS[Agent.CLAUDE]}/converse-stream",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/openai/v1/responses",
        "/v1/../../model/x/invoke",
    ],
)
def test_other_calls_of_bedrock_are_not_open(bedrock: ModelServer, path: str) -> None:
    before = len(bedrock.seen)
    with served(bedrock) as access:
        assert call(access, path=path)[0] == 404
    assert len(bedrock.seen) == before


def test_other_models_and_calls_over_the_budget_are_refused(bedrock: ModelServer) -> None:
    before = len(bedrock.seen)
    with served(bedrock, budget=1_000) as access:
        status, content = call(access, model="us.anthropic.claude-opus-5-5")
        assert (status, MODELS[Agent.CLAUDE] in content) == (404, True)
        status, content = call(access, max_tokens=100_000)
        assert (status, "budget of 1,000" in content) == (400, True)
    assert len(bedrock.seen) == before
