"""CloudFormation's generated names, in the forms that policies are scoped by.

Most types are named `<stack>-<LogicalId>-<12 random characters>`; what is longer than the service allows is cut from
the stack's name first, then from the logical id. A secret is named without its stack, a parameter begins with `CFN-`.
Each create draws a new name. MiniStack puts the stack into every name, cuts the logical id and the hyphen before the
random part, gives the same stack and logical id the same name again, and adds nothing random to clusters, services,
security groups and log groups. Sources: CloudFormation Template Reference, "CloudFormation resource custom naming" and
AWS::ECS::Cluster, "Ref"; Secrets Manager User Guide, "Create an AWS Secrets Manager secret with CloudFormation";
cdklabs/cdk-enterprise-iac#124 (parameters).
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, handler
from outpost_local.extensions.patch import Patch, around

AFTER = ("ecs.deployments", "logs.log_groups", "secretsmanager.secrets")

_RANDOM = 12
_FORMS: dict[str, tuple[str, str]] = {
    "AWS::EC2::SecurityGroup": ("GroupName", ""),
    "AWS::ECS::Cluster": ("ClusterName", ""),
    "AWS::ECS::Service": ("ServiceName", ""),
    "AWS::Logs::LogGroup": ("LogGroupName", ""),
    "AWS::SSM::Parameter": ("Name", "CFN-{logical_id}-{random}"),
    "AWS::SecretsManager::Secret": ("Name", "{logical_id}-{random}"),
}
"""The name property and the form, by type whose handler names it in a form of its own; empty: the common form."""


def physical_name(
    stack_name: str, logical_id: str, *, lowercase: bool = False, max_len: int = 128, seeded: bool = True
) -> str:
    """Return the common form within `max_len` characters: the same for the same resource until it is replaced."""
    seed = provisioners._NAME_SEED.get() if seeded else ""
    random = hashlib.sha256(f"{stack_name}:{logical_id}:{seed}".encode()).hexdigest()[:_RANDOM]
    room = max_len - _RANDOM - len("--")
    logical_id = logical_id[: max(room // 2, room - len(stack_name))]
    name = f"{stack_name[: room - len(logical_id)].rstrip('-')}-{logical_id}-{random.upper()}"
    return name.lower() if lowercase else name


def _provision(provision: Callable[..., Any], *arguments: Any) -> Any:
    if not provisioners._NAME_SEED.get():  # CloudFormation keeps it with the resource
        provisioners._NAME_SEED.set(uuid4().hex[:8])
    return provision(*arguments)


def _named(kind: str, props: Properties, stack: str, logical_id: str) -> Properties:
    property_name, form = _FORMS[kind]
    if props.get(property_name):
        return props
    name = physical_name(stack, logical_id, max_len=255)
    if form:
        name = form.format(logical_id=logical_id, random=name[-_RANDOM:])
    return {**props, property_name: name}


def _create(kind: str, create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    return create(logical_id, _named(kind, props, stack, logical_id), stack)


def _update(kind: str, update: Callable[..., Created], *arguments: Any) -> Created:
    physical_id, old, new, stack, logical_id = arguments
    return update(physical_id, old, _named(kind, new, stack, logical_id), stack, logical_id)


_GAP, _MODULE = "a generated secret's name begins with its stack", "services.cloudformation"

PATCHES = (
    Patch(f"{_MODULE}.provisioners._physical_name", lambda _: physical_name, _GAP),
    around(f"{_MODULE}.provisioners._provision_resource", _provision, _GAP, f"{_MODULE}.stacks._provision_resource"),
    *(around(handler(kind, "create"), partial(_create, kind), _GAP) for kind in _FORMS),
    *(
        around(handler(kind, "update"), partial(_update, kind), _GAP)
        for kind in _FORMS
        if provisioners._RESOURCE_HANDLERS[kind].get("update_with_logical_id")
    ),
)
