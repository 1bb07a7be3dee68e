"""A stack whose values other stacks read from SSM parameters."""

import re
from collections.abc import Mapping

from aws_cdk import CfnOutput, CfnParameter, Stack, Token
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IConstruct

from outpost_ops.config import EnvironmentConfig

ENVIRONMENT_TAG = "outpost:environment"
"""The tag of every resource, whose value is the environment's name."""
PARAMETER_TYPE = "AWS::SSM::Parameter::Value<String>"
"""CloudFormation reads the value at each create and update, and plans with it like with any other parameter."""


class OutpostStack(Stack):
    """Publishes the values that other stacks use as SSM parameters `/outpost/<environment>/stacks/<stack>/<value>`.

    In place of CloudFormation's exports, which can neither change nor go while a stack imports them
    (docs/adr/0023-references-between-stacks.md). The CDK still finds the references and orders the stacks: for each
    reference it calls `add_stack_dependency` of the reading stack and then `export_value` of the other one
    (`resolveValue` in aws-cdk-lib's core/lib/private/refs), which are overridden here.
    """

    def __init__(self, scope: Construct, construct_id: str, *, purpose: str, config: EnvironmentConfig) -> None:
        super().__init__(scope, construct_id, description=f"Outpost {config.name}: {purpose}")
        self.config = config
        self._reader: Stack | None = None

    def add_outputs(self, values: Mapping[str, str]) -> None:
        """Add an output for each value, by name."""
        for name, value in values.items():
            CfnOutput(self, name, value=value)

    def add_stack_dependency(self, target: Stack, reason: str | None = None) -> None:
        """Deploy this stack after `target`."""
        super().add_stack_dependency(target, reason)
        if isinstance(target, OutpostStack):
            target._reader = self

    def export_value(self, exported_value: object, *, description: str | None = None, name: str | None = None) -> str:
        """Publish a value of this stack and return what stands for it in the stack that reads it.

        Raises `RuntimeError` when the CDK did not say before which stack reads it.
        """
        if self._reader is None:
            raise RuntimeError(f"{self.node.path}: no stack is known to read {self.resolve(exported_value)}")
        value = self._value_name(exported_value)
        parameter = f"/outpost/{self.config.name}/stacks/{self.node.id}/{value}"
        if self.node.try_find_child(f"Published{value}") is None:
            ssm.CfnParameter(
                self,
                f"Published{value}",
                name=parameter,
                type="String",
                value=Token.as_string(exported_value),
                tags={ENVIRONMENT_TAG: self.config.name},  # the stage's tags come too early for it
            )
        read_as = self.reference_id(exported_value)
        reading = self._reader.node.try_find_child(read_as)
        if not isinstance(reading, CfnParameter):
            reading = CfnParameter(self._reader, read_as, type=PARAMETER_TYPE, default=parameter)
        return reading.value_as_string

    def reference_id(self, value: object) -> str:
        """Return the logical id of the template parameter by which other stacks read a value of this stack.

        Another SSM parameter has another id: the CDK's CLI sends previous values of template parameters again, so that
        a new default under an old id would be ignored.
        """
        return f"{self.node.id}{self._value_name(value)}"

    def _value_name(self, value: object) -> str:
        resolved = self.resolve(value)
        match resolved:
            case {"Ref": str(logical_id)}:
                return logical_id
            case {"Fn::GetAtt": [str(logical_id), str(attribute)]}:
                return logical_id + re.sub(r"[^A-Za-z0-9]", "", attribute)
        raise ValueError(f"{self.node.path} publishes attributes of resources, not {resolved}")


def config_of(scope: IConstruct) -> EnvironmentConfig:
    """Return the configuration of the environment that a construct is part of, from its stack.

    For what every construct of an environment has in common: its name, removal, retention of logs, architecture. What
    only one construct needs is a parameter of it.
    """
    stack = Stack.of(scope)
    assert isinstance(stack, OutpostStack)  # noqa: S101 - every stack of ours is one
    return stack.config
