"""A rule with resources that break it and resources that keep it."""

from typing import Any, NamedTuple

from outpost_ops.templates import Templates

ACCOUNT = "123456789012"

Resources = dict[str, dict[str, Any]]


class Case(NamedTuple):
    """Resources of one stack by logical id, with and without the fault."""

    rule: str
    broken: Resources
    kept: Resources
    at: str
    """The resource that the finding names."""
    parameters: Resources | None = None
    """Parameters of the template, the same in both."""


def templates(resources: Resources, parameters: Resources | None) -> Templates:
    """The environment `prod` with one stack of these resources."""
    return Templates("prod", {"App": {"Resources": resources, "Parameters": parameters or {}}})


def res(kind: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"Type": f"AWS::{kind}", "Properties": properties}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def att(name: str, attribute: str = "Arn") -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def role(service: str = "lambda", **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
    return res("IAM::Role", AssumeRolePolicyDocument=document(trust), **properties)


def policy(*statements: dict[str, Any], of: str = "Role") -> dict[str, Any]:
    return res("IAM::Policy", PolicyName="policy", Roles=[ref(of)], PolicyDocument=document(*statements))


def function(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    code = {"S3Bucket": "assets", "S3Key": "code.zip"}
    return res("Lambda::Function", Code=code, Role=att("Role"), Handler="a.b", Runtime="python3.14", **properties)
