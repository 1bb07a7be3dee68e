"""The deployed environment that is accepted: its address, first key, agents that can run, alarms, last deploy."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from outpost.domain.agents import Agent
from outpost.domain.providers import BEDROCK
from outpost.names import PROVIDER_PLACEHOLDER, Output, provider_of
from outpost.report import Check
from outpost_ops.verify.deployed import Deployed, NotDeployedError

_PAGE = 100
"""Names that DescribeAlarms takes at once."""
_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


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


def check_alarms(deployed: Deployed) -> Check:
    """No alarm of the environment is in the state ALARM, and each has an action."""
    names = deployed.of_type("AWS::CloudWatch::Alarm")
    alarms = [
        alarm
        for start in range(0, len(names), _PAGE)
        for alarm in deployed.pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=names[start : start + _PAGE]
        )
    ]
    raised = [f"{alarm['AlarmName']}: {alarm['StateValue']}" for alarm in alarms if alarm["StateValue"] == "ALARM"]
    silent = [f"{alarm['AlarmName']} has no action" for alarm in alarms if not alarm.get("AlarmActions")]
    evidence = [f"{len(alarms)} of {len(names)} alarms described", *raised, *silent]
    holds = len(alarms) == len(names) > 0 and not raised and not silent
    return Check.of("alarms", "No alarm is raised, and each has an action", holds, evidence, "see docs/operations.md")


def deploy_seconds(deployed: Deployed) -> dict[str, float]:
    """Return how long the last create or update of each stack took, by its events."""
    return {name: _last_operation(deployed, name) for name in sorted(deployed.stack_states())}


def _last_operation(deployed: Deployed, name: str) -> float:
    """Events come newest first: the stack's own last event ends the operation that its nearest start began."""
    ended: datetime | None = None
    for event in deployed.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name):
        if event["ResourceType"] == "AWS::CloudFormation::Stack" and event["LogicalResourceId"] == name:
            ended = ended or event["Timestamp"]
            if event["ResourceStatus"] in _BEGUN:
                return float((ended - event["Timestamp"]).total_seconds())
    return 0.0
