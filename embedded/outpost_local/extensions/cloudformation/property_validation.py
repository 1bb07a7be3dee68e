"""Properties that the registry's schema refuses fail the resource before its handler runs.

Unknown and missing properties, wrong types, enums, patterns, lengths: MiniStack ignores what it does not know and takes
the rest as it is. As on AWS, scalars are converted (`"5"` is an integer), and system tags are not the template's.
Source: CloudFormation CLI User Guide, "Resource type schema"; the messages are those of its JSON schema validator.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from jsonschema import Draft7Validator, ValidationError, validators

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_ops.aws_rules.resource_schemas import schema


def validate(kind: str, logical_id: str, props: Properties) -> None:
    """Raise ValueError, with the path of each fault, for properties that the schema of the type refuses."""
    validator = _validator(kind)
    if validator is None:
        return
    faults = [_message(error) for error in validator.iter_errors(_without_system_tags(props))]
    if faults:
        text = ", ".join(sorted(faults))
        raise ValueError(f"Properties validation failed for resource {logical_id} with message:\n[{text}]")


def _message(error: ValidationError) -> str:
    path = "/".join(["#", *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(name for name in error.instance if name not in known)
        return f"{path}: extraneous key [{extra}] is not permitted"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{path}: required key [{missing}] not found"
    if error.validator == "enum":
        return f"{path}: {error.instance} is not a valid enum value"
    if error.validator == "type":
        return f"{path}: expected type: {error.validator_value}, found: {type(error.instance).__name__}"
    return f"{path}: failed validation constraint for keyword [{error.validator}]"


@cache
def _validator(kind: str) -> Any:
    found = schema(kind)
    return None if found is None else _Validator(_with_known_patterns(found))


def _with_known_patterns(found: Any) -> Any:
    """Return a schema without patterns of keys that Python cannot compile: their values' schema holds for any key."""
    if isinstance(found, list):
        return [_with_known_patterns(each) for each in found]
    if not isinstance(found, dict):
        return found
    known = {key: _with_known_patterns(value) for key, value in found.items()}
    patterns = known.get("patternProperties", {})
    foreign = [pattern for pattern in patterns if not _compiles(pattern)]
    for pattern in foreign:
        known["additionalProperties"] = patterns.pop(pattern)
    return known


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    try:
        matches = not isinstance(instance, str) or re.search(pattern, instance)
    except re.error:  # an expression of Java's that Python cannot compile
        return
    if not matches:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _exclusive(_validator: Any, names: list[str], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict) and sum(name in instance for name in names) != 1:
        yield ValidationError(f"exactly one of {names} is required")


def _is_number(_checker: Any, value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(_checker: Any, value: Any) -> bool:
    return _is_number(None, value) and float(value).is_integer()


def _is_boolean(_checker: Any, value: Any) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def _is_string(_checker: Any, value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _converting(keyword: str, convert: Callable[[Any], Any], when: Callable[[Any, Any], bool]) -> Any:
    """Return the keyword's own rule, applied to the value that the conversion gives."""
    rule = Draft7Validator.VALIDATORS[keyword]

    def check(validator: Any, limit: Any, instance: Any, found: Any) -> Any:
        return rule(validator, limit, convert(instance) if when(None, instance) else instance, found)

    return check


_Validator = validators.extend(
    Draft7Validator,
    validators={
        "pattern": _pattern,
        "requiredXor": _exclusive,
        **{keyword: _converting(keyword, float, _is_number) for keyword in ("minimum", "maximum")},
        **{keyword: _converting(keyword, str, _is_string) for keyword in ("minLength", "maxLength")},
    },
    type_checker=Draft7Validator.TYPE_CHECKER.redefine_many(
        {"number": _is_number, "integer": _is_integer, "boolean": _is_boolean, "string": _is_string}
    ),
)


def _without_system_tags(props: Properties) -> Properties:
    """Return the properties without the tags that CloudFormation itself adds."""
    kept = {name: _untagged(value) if name.endswith("Tags") else value for name, value in props.items()}
    return {name: value for name, value in kept.items() if value or value == props[name]}


def _untagged(tags: Any) -> Any:
    if isinstance(tags, dict):
        return {key: value for key, value in tags.items() if not key.startswith("aws:")}
    if isinstance(tags, list):
        return [tag for tag in tags if not str(tag.get("Key", "")).startswith("aws:")]
    return tags
