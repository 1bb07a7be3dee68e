"""The deployed environment that is accepted: its address, its first key, and which of its agents can run."""

import json
from dataclasses import dataclass
from functools import cached_property

from outpost.domain.agents import Agent
from outpost.domain.providers import BEDROCK
from outpost.names import PROVIDER_PLACEHOLDER, Output, provider_of
from outpost_ops.verify.deployed import Deployed, NotDeployedError


@dataclass(frozen=True)
class Target:
    """An environment in its account. `address` replaces the public address, where that is not resolvable from here."""

    deployed: Deployed
    address: str | None = None

    @property
    def url(self) -> str:
        """The URL of the API. Raises NotDeployedError."""
        return (self.address or self.outputs[Output.API_URL]).rstrip("/")

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the control plane's stack. Raises NotDeployedError."""
        name = f"Outpost-{self.deployed.config.name}-ControlPlane"
        self.deployed.of_type("AWS::ECS::Service")
        (stack,) = self.deployed.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        found = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if Output.API_URL not in found:
            raise NotDeployedError(f"the stack {name} has no output {Output.API_URL}: deploy it completely")
        return found

    def operator_key(self) -> str:
        """Return the first operator key, as the deployment generated it."""
        secrets = self.deployed.client("secretsmanager")
        value = secrets.get_secret_value(SecretId=self.outputs[Output.BOOTSTRAP_SECRET_ARN])["SecretString"]
        return f"otp_{json.loads(value)['key_hex']}"

    def agents(self) -> dict[Agent, bool]:
        """Return each enabled agent, and whether it has what it needs to run: the key of a provider that takes one."""
        ready, config = {None, BEDROCK, *self._providers_with_key()}, self.deployed.config
        return {agent: config.provider_of(agent) in ready for agent in config.enabled_agents}

    def _providers_with_key(self) -> set[str]:
        secrets = self.deployed.client("secretsmanager")
        found = set()
        for name in self.deployed.of_type("AWS::SecretsManager::Secret"):
            described = secrets.describe_secret(SecretId=name)
            provider = provider_of(described.get("Description", ""))
            if provider and secrets.get_secret_value(SecretId=name)["SecretString"] != PROVIDER_PLACEHOLDER:
                found.add(provider)
        return found
