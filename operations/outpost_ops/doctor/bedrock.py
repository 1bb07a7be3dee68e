"""Whether the account may call the configured models at Amazon Bedrock."""

from collections.abc import Iterator
from typing import Any

from outpost.domain.bedrock import BedrockModel
from outpost_ops.config import EnvironmentConfig
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.verify.deployed import Account

_CHECK = "bedrock"
_REQUIRED = {"authorizationStatus": "AUTHORIZED", "entitlementAvailability": "AVAILABLE"}


def check_bedrock(account: Account) -> Iterator[Finding]:
    """Each configured model or inference profile exists in the region, and the account has access to the model.

    ("GetInferenceProfile", "GetFoundationModelAvailability", Amazon Bedrock API reference.)
    """
    config = account.config
    for model in config.bedrock_models:
        yield _evaluate(account.client("bedrock", config.bedrock_region), model, config)


def _evaluate(client: Any, model: BedrockModel, config: EnvironmentConfig) -> Finding:  # noqa: ANN401 - boto3's
    region = config.bedrock_region
    try:
        if model.profile:
            client.get_inference_profile(inferenceProfileIdentifier=model.id)
        access = client.get_foundation_model_availability(modelId=model.model)
    except (client.exceptions.ResourceNotFoundException, client.exceptions.ValidationException):
        remedy = (
            f"set models in config/{config.name}.toml to ids of: aws bedrock list-inference-profiles --region {region}"
        )
        return Finding(_CHECK, Level.WARNING, f"{model.id} is not at Bedrock in {region}", remedy)
    if missing := [name for name, fine in _REQUIRED.items() if access.get(name, fine) != fine]:
        message = f"{model.id}: the account may not call it ({', '.join(missing)})"
        remedy = f"accept the model's terms on its page in Bedrock's console, region {region}"
        return Finding(_CHECK, Level.WARNING, message, remedy)
    return Finding(_CHECK, Level.OK, f"{model.id} can be called in {region}")
