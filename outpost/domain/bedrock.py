"""Models at Amazon Bedrock: their ids, and the policy that lets them be called. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from outpost.domain.agents import CATALOGUE, Agent

MAX_ID_LENGTH = 50
"""Of a model's id, so that a policy for all models of an agent has its bounded size; the longest of today has 48."""
_CALLS = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
VENDORS = {"anthropic": "anthropic", "openai": "openai"}
"""Provider of an agent -> how the ids of its models at Bedrock begin."""

_GEOGRAPHIES: dict[str, tuple[str, ...]] = {
    "apac": ("ap-", "me-"),
    "au": ("ap-southeast-",),
    "ca": ("ca-",),
    "eu": ("eu-", "il-"),
    "jp": ("ap-northeast-",),
    "us": ("us-east-", "us-west-", "ca-"),
    "us-gov": ("us-gov-",),
}
"""Of inference profiles -> how the names of their source regions begin, of any model (Amazon Bedrock User Guide,
"Supported Regions and models for inference profiles"). A model's own are some of these."""

Statement = dict[str, object]


@dataclass(frozen=True)
class BedrockModel:
    """A model as requests name it: by its own id, or by that of a cross-Region inference profile."""

    id: str
    model: str
    """The foundation model's id."""
    profile: bool
    """Whether requests go through an inference profile, which routes them to several regions."""


def bedrock_model(id_: str, provider: str) -> BedrockModel:
    """Read the id of a model of the provider. Raises `ValueError` with what is allowed."""
    vendor = VENDORS[provider]
    found = re.fullmatch(rf"((?P<profile>[a-z]+(-[a-z]+)?)\.)?(?P<model>{vendor}\.[a-z][a-z0-9.:-]*)", id_)
    if found is None or len(id_) > MAX_ID_LENGTH:
        raise ValueError(
            f"Bedrock's id of a model, {vendor}.<model>, or of its inference profile, e.g. global.{vendor}.<model>: "
            f"{MAX_ID_LENGTH} characters at most"
        )
    return BedrockModel(id_, found["model"], found["profile"] is not None)


def source_regions(id_: str) -> tuple[str, tuple[str, ...]]:
    """Return the geography of an inference profile, and how the names of the regions begin that call it.

    Neither for a model, and no regions for a geography that is called from all, or is not known here.
    """
    geography = id_.partition(".")[0]
    return (geography, _GEOGRAPHIES.get(geography, ()))


def agent_models(agent: Agent, ids: Iterable[str]) -> list[BedrockModel]:
    """Return an agent's models by their ids at Bedrock, each once. Raises `ValueError` for what is no such id."""
    return [bedrock_model(id_, str(CATALOGUE[agent].provider)) for id_ in dict.fromkeys(ids)]


def statements(models: Collection[BedrockModel], region: str, account: str) -> list[Statement]:
    """Return the statements of a policy that lets these models be called from a region, and no others.

    A profile needs its own ARN, and the model's in each region that it routes to, which AWS may add to; the condition
    limits those to calls through the named profiles ("Prerequisites for inference profiles", "Geographic cross-Region
    inference", "Global cross-Region inference"; a global profile's model has an ARN without a region). The Responses
    API also asks for the account's default project.
    """
    place = f"{region}:{account}"
    profiles = [f"arn:aws:bedrock:{place}:inference-profile/{each.id}" for each in models if each.profile]
    routed = {f"arn:aws:bedrock:*::foundation-model/{each.model}" for each in models if each.profile}
    called = profiles + [f"arn:aws:bedrock:{region}::foundation-model/{each.id}" for each in models if not each.profile]
    if any(each.model.startswith("openai.") for each in models):
        called.append(f"arn:aws:bedrock:{place}:project/default")
    allowed: list[Statement] = [{"Effect": "Allow", "Action": list(_CALLS), "Resource": called}]
    if profiles:
        through = {"StringEquals": {"bedrock:InferenceProfileArn": profiles}}
        routing: Statement = {
            "Effect": "Allow",
            "Action": list(_CALLS),
            "Resource": sorted(routed),
            "Condition": through,
        }
        allowed.append(routing)
    return allowed
