"""Conditions may compare the results of functions, as the CDK's bootstrap template does with `Fn::Join`.

MiniStack compares the function itself with the string, so that a condition on an empty list is always true.
Source: CloudFormation Template Reference, "Condition functions" (supported functions).
"""

from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, stacks

_FUNCTIONS = {"Fn::FindInMap", "Fn::Join", "Fn::Split", "Fn::Sub"}


def install() -> None:
    """Resolve the functions before the conditions are evaluated."""
    evaluate = engine._evaluate_conditions

    def evaluate_resolved(template: dict[str, Any], params: dict[str, Any]) -> Any:
        mappings = template.get("Mappings", {})

        def resolved(node: Any) -> Any:
            if isinstance(node, dict):
                if _FUNCTIONS & node.keys():
                    return engine._resolve_refs(node, {}, params, {}, mappings, "", "")
                return {key: resolved(value) for key, value in node.items()}
            return [resolved(value) for value in node] if isinstance(node, list) else node

        return evaluate(template | {"Conditions": resolved(template.get("Conditions", {}))}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_resolved
