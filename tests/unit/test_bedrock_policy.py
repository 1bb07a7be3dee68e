"""What a policy must allow so that an agent's models, and no others, can be called at Bedrock."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.credentials import MAX_POLICY_LENGTH, model_policy
from outpost.domain.agents import Agent, Alias
from outpost.domain.bedrock import MAX_ID_LENGTH, agent_models, bedrock_model, statements

ACCOUNT = "123456789012"
CALLS = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def test_a_model_of_the_region_is_named_by_its_arn_alone() -> None:
    models = agent_models(Agent.CLAUDE, ["anthropic.claude-opus-5-5"])
    arn = "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-opus-5-5"
    assert statements(models, "eu-west-1", ACCOUNT) == [{"Effect": "Allow", "Action": CALLS, "Resource": [arn]}]


def test_a_profile_is_named_and_its_model_only_through_it() -> None:
    models = agent_models(Agent.CLAUDE, ["eu.anthropic.claude-opus-5-5"])
    profile = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:inference-profile/eu.anthropic.claude-opus-5-5"
    called, routed = statements(models, "eu-west-1", ACCOUNT)
    assert called == {"Effect": "Allow", "Action": CALLS, "Resource": [profile]}
    assert routed == {
        "Effect": "Allow",
        "Action": CALLS,
        "Resource": ["arn:aws:bedrock:*::foundation-model/anthropic.claude-opus-5-5"],
        "Condition": {"StringEquals": {"bedrock:InferenceProfileArn": [profile]}},
    }


def test_the_responses_api_asks_for_the_default_project() -> None:
    called, _ = statements(agent_models(Agent.CODEX, ["us.openai.gpt-6.1-sol"]), "us-east-1", ACCOUNT)
    assert called["Resource"] == [
        f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.openai.gpt-6.1-sol",
        f"arn:aws:bedrock:us-east-1:{ACCOUNT}:project/default",
    ]


@pytest.mark.parametrize(
    "id_",
    [
        "claude-opus-5-5",
        "openai.gpt-6.1-sol",
        "us.openai.gpt-6.1-sol",
        "eu.anthropic.*",
        "anthropic.",
        "US.anthropic.claude-opus-5-5",
        "a.b.anthropic.claude-opus-5-5",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-5",
        f"anthropic.{'c' * MAX_ID_LENGTH}",
    ],
)
def test_what_is_no_id_of_the_providers_models_at_bedrock_is_refused(id_: str) -> None:
    with pytest.raises(ValueError, match=r"anthropic\.<model>"):
        bedrock_model(id_, "anthropic")


IDS = st.builds(
    lambda profile, rest: f"{profile}openai.{rest}"[:MAX_ID_LENGTH],
    st.sampled_from(["", "us.", "global.", "us-gov."]),
    st.from_regex(r"[a-z][a-z0-9.:-]{43}", fullmatch=True),
)


@given(ids=st.lists(IDS, min_size=1, max_size=len(Alias)))
def test_a_session_policy_for_all_models_of_an_agent_has_room(ids: list[str]) -> None:
    policy = model_policy(agent_models(Agent.CODEX, ids), "ap-southeast-1", ACCOUNT)
    assert len(policy.text) <= MAX_POLICY_LENGTH
    assert {action for each in json.loads(policy.text)["Statement"] for action in each["Action"]} == {*CALLS}
