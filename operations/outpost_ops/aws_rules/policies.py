"""The policy documents of the templates, and their statements."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from outpost_ops.templates import Resource, Templates


class Kind(StrEnum):
    """What a policy document is attached to."""

    IDENTITY = "identity"
    """A role: `Resource` is what the role may act on."""
    TRUST = "trust"
    """A role as a resource: who may assume it."""
    RESOURCE = "resource"
    """A bucket, queue, topic, key, endpoint, ...: `Principal` is who may act on it."""


@dataclass(frozen=True)
class Policy:
    """A policy document, where it stands, and what it is for."""

    resource: Resource
    path: str
    kind: Kind
    document: Mapping[str, Any]

    @property
    def statements(self) -> list["Statement"]:
        """The statements, of which a document may have one without a list."""
        listed = as_list(self.document.get("Statement"))
        return [Statement(self, f"{self.path}.Statement[{n}]", body) for n, body in enumerate(listed)]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy document; single values are lists of one."""

    policy: Policy
    path: str
    body: Mapping[str, Any]

    @property
    def resource(self) -> Resource:
        """The resource that the policy stands in."""
        return self.policy.resource

    @property
    def allows(self) -> bool:
        """Whether the effect is Allow."""
        return self.body.get("Effect") == "Allow"

    def covers(self, action: str) -> bool:
        """Return whether the actions, with their wildcards, contain an action."""
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in self.actions)

    @property
    def actions(self) -> list[str]:
        """Actions, wildcards as written; those of NotAction are left out."""
        return as_list(self.body.get("Action"))

    @property
    def resources(self) -> list[object]:
        """Resources as the template has them."""
        return as_list(self.body.get("Resource"))

    @property
    def services(self) -> list[str]:
        """The service principals that the template spells out."""
        principal = self.body.get("Principal")
        named = as_list(principal.get("Service")) if isinstance(principal, dict) else []
        return [service for service in named if isinstance(service, str)]

    @property
    def conditions(self) -> Iterator[tuple[str, str, object]]:
        """Each condition as (operator, key, value)."""
        for operator, keys in self.body.get("Condition", {}).items():
            for key, value in keys.items():
                yield operator, key, value


_DOCUMENTS = {
    ("AWS::IAM::Policy", "PolicyDocument"): Kind.IDENTITY,
    ("AWS::IAM::ManagedPolicy", "PolicyDocument"): Kind.IDENTITY,
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): Kind.TRUST,
}
_RESOURCE_POLICIES = ("PolicyDocument", "KeyPolicy", "FileSystemPolicy", "AccessPolicy", "ResourcePolicy")


def policies(templates: Templates, *kinds: Kind) -> Iterator[Policy]:
    """Yield every policy document of these kinds, or of all."""
    for resource in templates.resources:
        yield from policies_in(resource, *kinds)


def statements(templates: Templates, *kinds: Kind) -> Iterator[Statement]:
    """Yield every statement of the policies of these kinds, or of all."""
    for policy in policies(templates, *kinds):
        yield from policy.statements


def policies_of(role: Resource) -> Iterator[Policy]:
    """Yield the identity policies of a role: its own, and those attached to it in any stack."""
    for policy in policies(role.templates, Kind.IDENTITY):
        if policy.resource == role or role in policy.resource.all_named("Roles"):
            yield policy


def balancer_logs(balancer: Resource) -> Iterator[Resource]:
    """Yield the bucket that a load balancer delivers its access logs to."""
    for attribute in balancer.properties.get("LoadBalancerAttributes", []):
        if attribute.get("Key") == "access_logs.s3.bucket":
            yield from balancer.targets(attribute.get("Value"))


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Return a list as it is, nothing as an empty one, and anything else as a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def policies_in(resource: Resource, *kinds: Kind) -> Iterator[Policy]:
    """Yield the policy documents of these kinds, or of all, that stand in a resource."""
    yield from (policy for policy in _documents(resource) if not kinds or policy.kind in kinds)


def _documents(resource: Resource) -> Iterator[Policy]:
    for name, value in resource.properties.items():
        kind = _DOCUMENTS.get((resource.type, name))
        if kind is None and name in _RESOURCE_POLICIES and not resource.type.startswith("AWS::IAM::"):
            kind = Kind.RESOURCE
        if kind is not None and isinstance(value, dict):
            yield Policy(resource, name, kind, value)
    if resource.type == "AWS::IAM::Role":
        for n, inline in enumerate(resource.properties.get("Policies", [])):
            yield Policy(resource, f"Policies[{n}].PolicyDocument", Kind.IDENTITY, inline["PolicyDocument"])
