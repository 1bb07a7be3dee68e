"""The text that a value of a template becomes at deploy, as far as it is known: names, ARNs and URLs."""

import json
import re
from collections.abc import Mapping

from outpost_ops.aws_rules import iam_reference
from outpost_ops.aws_rules.resource_schemas import custom_name, identifier
from outpost_ops.templates import Resource

REGION = "ap-southeast-1"
"""Stands for a region that the template leaves open: the longest name of one in use."""
ACCOUNT = "123456789012"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Stack/6a3b5c1e-1111-2222-3333-444455556666",
}
_NAME_LENGTH = 64
"""Longest name that CloudFormation generates for most types; it shortens stack name and logical id to fit."""
_IDS = {"Id": "x" * 21, "GroupId": "sg-" + "x" * 17, "FileSystemId": "fs-" + "x" * 17, "CidrBlock": "10.100.0.0/16"}
_BALANCING = "AWS::ElasticLoadBalancingV2"
_SPECIAL = {
    (f"{_BALANCING}::LoadBalancer", "LoadBalancerFullName"): "app/{name}/xxxxxxxxxxxxxxxx",
    (f"{_BALANCING}::TargetGroup", "TargetGroupFullName"): "targetgroup/{name}/xxxxxxxxxxxxxxxx",
    ("AWS::DynamoDB::Table", "StreamArn"): "{arn}/stream/2026-01-01T00:00:00.000",
    ("AWS::Logs::LogGroup", "Arn"): "{arn}:*",
    ("AWS::SQS::Queue", "QueueUrl"): f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{{name}}",
    ("AWS::SecretsManager::Secret", "Id"): "{arn}-xxxxxx",
}
"""Attributes that are more than a name or an ARN."""
_UNKNOWN = "x" * 36
"""Stands for any other attribute: most are identifiers of this length or shorter."""


def is_literal(value: object) -> bool:
    """Return whether the template itself has the whole value, nothing of which is known at deploy only."""
    return isinstance(value, str | int | float | bool)


def text_of(value: object, resource: Resource) -> str:
    """Return the text that a value in a resource has at deploy; for what is not known yet, something of its length."""
    value, resource = resource.origin(value)
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return _intrinsic(value, resource)
        case list():
            return ",".join(text_of(each, resource) for each in value)
    return str(value)


def document_of(value: object, resource: Resource) -> str:
    """Return a JSON document of a resource (a policy) as it is sent: compact, with the text of every value in it."""
    return json.dumps(_resolved(value, resource), separators=(",", ":"), ensure_ascii=False)


def name_of(resource: Resource) -> str:
    """Return the physical name: the template's, or as long a one as CloudFormation generates."""
    named = resource.properties.get(custom_name(resource.type) or "")
    if named is not None:
        return text_of(named, resource)
    generated = f"Outpost-{resource.templates.environment}-{resource.stack}-{resource.logical_id}"
    if resource.type == "AWS::SecretsManager::Secret":  # the only type here that is named without its stack
        generated = resource.logical_id
    return f"{generated[: _NAME_LENGTH - 13]}-{'x' * 12}"


def arn_of(resource: Resource) -> str:
    """Return the ARN of a resource, in the form that the service authorization reference gives its type."""
    name = name_of(resource)
    form = iam_reference.arn_form(resource.type)
    if form is None:
        _, service, kind = resource.type.split("::")
        return f"arn:aws:{service.lower()}:{REGION}:{ACCOUNT}:{kind.lower()}/{name}"
    known = {"Partition": "aws", "Region": REGION, "Account": ACCOUNT}
    names = iter([name])
    return re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1]) or next(names, "x" * 16), form)


def _intrinsic(value: Mapping[str, object], resource: Resource) -> str:
    """Return the text of an intrinsic function."""
    match value:
        case {"Ref": str(name)} if name in _PSEUDO:
            return _PSEUDO[name]
        case {"Ref": _} | {"Fn::GetAtt": _}:
            return _reference(value, resource)
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(text_of(part, resource) for part in parts)
        case {"Fn::Sub": sub}:
            return _substituted(sub, resource)
        case {"Fn::Select": [int() | str() as index, {"Fn::Split": [separator, split]}]}:
            parts = text_of(split, resource).split(separator)
            return parts[int(index)] if int(index) < len(parts) else _UNKNOWN
    return _UNKNOWN


def _reference(value: object, resource: Resource) -> str:
    """Return what Ref or Fn::GetAtt of a resource stands for."""
    target = resource.target(value)
    if target is None:
        return _UNKNOWN
    match value:
        case {"Fn::GetAtt": [_, str(attribute)]}:
            return _attribute(target, attribute)
    return _attribute(target, (identifier(target.type) or ("",))[-1])


def _attribute(resource: Resource, attribute: str) -> str:
    name = name_of(resource)
    special = _SPECIAL.get((resource.type, attribute))
    if special is not None:
        return special.format(arn=arn_of(resource), name=name)
    if attribute.endswith("Arn"):
        return arn_of(resource)
    if attribute.endswith("Name") or attribute == custom_name(resource.type):
        return name
    return _IDS.get(attribute, _UNKNOWN)


def _substituted(sub: object, resource: Resource) -> str:
    template, values = sub if isinstance(sub, list) else (sub, {})

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in values:
            return text_of(values[name], resource)
        logical_id, _, attribute = name.partition(".")
        return text_of({"Fn::GetAtt": [logical_id, attribute]} if attribute else {"Ref": name}, resource)

    return re.sub(r"\$\{([^}]+)\}", replace, str(template))


def _resolved(value: object, resource: Resource) -> object:
    match value:
        case dict() if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return text_of(value, resource)
        case dict():
            return {key: _resolved(each, resource) for key, each in value.items()}
        case list():
            return [_resolved(each, resource) for each in value]
    return value
