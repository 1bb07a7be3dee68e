"""Conditions may compare the results of functions, as the CDK's bootstrap template does with `Fn::Join`.

MiniStack compares the function itself with the string, so that a condition on an empty list is always true.
Source: CloudFormation Template Reference, "Condition functions" (supported functions).
"""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import engine

from outpost_local.extensions.patch import around

_FUNCTIONS = {"Fn::FindInMap", "Fn::Join", "Fn::Split", "Fn::Sub"}


def _evaluate(evaluate: Callable[..., Any], template: dict[str, Any], params: dict[str, Any]) -> Any:
    """Resolve the functions before the conditions are evaluated."""
    mappings = template.get("Mappings", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if _FUNCTIONS & node.keys():
                return engine._resolve_refs(node, {}, params, {}, mappings, "", "")
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(value) for value in node] if isinstance(node, list) else node

    return evaluate(template | {"Conditions": resolved(template.get("Conditions", {}))}, params)


_MODULE, _NAME = "services.cloudformation", "_evaluate_conditions"

PATCHES = (
    around(
        f"{_MODULE}.engine.{_NAME}",
        _evaluate,
        "a condition does not call functions",
        *(f"{_MODULE}.{module}.{_NAME}" for module in ("changesets", "handlers", "stacks")),
    ),
)
